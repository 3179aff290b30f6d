"""For the paper that one writes: a draft of its methods with references, and filled-in check lists."""
