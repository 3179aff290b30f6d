"""From weights and images to an errors file.

The way of an image: `run` opens the store and the weights, and finds in the state folder what was computed
before from the same. `blocks` takes the images block by block, so that memory is that of one block.
`partial_errors` reads what the state folder has of a block, has `score` complete it, and saves it now and
then. `score` asks `work_queue` which (image, step) pairs come next, and `passes` puts these through the
network as suits the device. When all blocks are complete, `blocks` writes them to the errors file
(`error_file`) one after the other.

Evidence maps go along: `passes` makes them from the residuals that errors are made of, `evidence_sums` adds
up those of the steps that count, `partial_evidence` keeps the sums, `blocks` writes them (`evidence_file`).
"""
