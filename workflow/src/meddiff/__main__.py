"""``python -m meddiff <command> ...``: one command per rule of the workflow."""

from meddiff.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
