"""The paper's UNet: diffusers' UNet2DConditionModel with the class embedding inside."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from meddiff.config.schema.kinds.unet import UNetConfig
from meddiff.errors import ConfigError
from meddiff.networks.all_classes import can_share, unet_for_all_classes
from meddiff.networks.attention import attend_by_class, attends_by_class, freeze_queries
from meddiff.networks.pixel_denoiser import PixelDenoiser


class UNetDenoiser(PixelDenoiser):
    """UNet whose cross-attention sees one token: the embedding of the class."""

    def __init__(self, config: UNetConfig, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__(config, num_classes, channels, image_size)
        dimension = config.architecture.get("encoder_hid_dim")
        if dimension is None:
            raise ConfigError("architecture.encoder_hid_dim: missing; it is the size of the class embedding")
        in_channels, height, _ = self.input_shape
        self.backbone = UNet2DConditionModel(
            sample_size=height, in_channels=in_channels, out_channels=in_channels, **config.architecture
        )
        if not any(name.endswith(".attn2") for name, _ in self.backbone.named_modules()):
            raise ConfigError(
                "architecture: no block has cross-attention, by which the class enters; take "
                "CrossAttnDownBlock2D, CrossAttnUpBlock2D or UNetMidBlock2DCrossAttn"
            )
        self.class_embedding = nn.Embedding(num_classes + 1, dimension)
        attend_by_class(self.backbone)
        freeze_queries(self.backbone)
        self._shares = can_share(self.backbone, *self.input_shape[1:]) and attends_by_class(self.backbone)
        self._embedding_outside = bool(config.embedding_outside)

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        tokens = self.class_embedding(class_ids)[:, None, :]
        return self.backbone(z, logsnr, encoder_hidden_states=tokens, return_dict=False)[0]

    def for_all_classes(self, z: Tensor, logsnr: Tensor) -> Tensor:
        if not self._shares:
            return super().for_all_classes(z, logsnr)
        tokens = self.class_embedding.weight[: self.num_classes, None, :]
        return unet_for_all_classes(self.backbone, z, logsnr, tokens)

    def plain_parameters(self) -> set[str]:
        return {"class_embedding.weight"} if self._embedding_outside else set()
