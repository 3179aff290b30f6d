"""Whether maps find what is known: evidence maps and Grad-CAM against lesions."""
