"""What workloads share inside a rank. Importing the package itself does not import torch; import it before torch."""

import os

# Read by OpenMP when torch is loaded. Threads that wait busily made training 2 to 5 times slower on two cores that others used too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
