"""Networks: adapters of diffusers and timm to what the method and training expect."""
