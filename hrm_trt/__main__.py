"""`python -m hrm_trt` is `hrm-trt`."""

from hrm_trt.cli import main

main()
