"""What workloads that use torch share inside a rank. Importing this package does not import torch; import it before torch."""

import os

# OpenMP reads this when torch is loaded. Busy-waiting threads made training 2 to 5 times slower on two cores shared with other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
