"""How computations meet the machine: memory formats, compilation, copies, threads, lack of memory."""
