"""WHAT JUDGES: VGG-19, and how far a picture is from photo and style."""
