"""`python -m neural_sdf train` is `neural-sdf train`."""

from neural_sdf.commands import main

if __name__ == "__main__":
    main()
