"""The paper's DiT: diffusers' DiTTransformer2DModel, with its faults behind flags."""

from __future__ import annotations

from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

from meddiff.config.schema.kinds.dit import DiTConfig
from meddiff.networks.pixel_denoiser import PixelDenoiser


class DiTDenoiser(PixelDenoiser):
    """Diffusion transformer with adaptive layer norm conditioned on logSNR and class.

    In diffusers every block owns a label table with a dropout of its own, whose null row is the last
    one. `block_label_dropout` 0 switches that off, so that all blocks see the same label; the null
    class of training then is row K of tables with K + 1 rows.
    """

    def __init__(self, config: DiTConfig, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__(config, num_classes, channels, image_size)
        in_channels, height, _ = self.input_shape
        self.backbone = DiTTransformer2DModel(
            sample_size=height,
            in_channels=in_channels,
            out_channels=in_channels,
            num_embeds_ada_norm=config.label_table_size or num_classes,
            **config.architecture,
        )
        for block in self.backbone.transformer_blocks:
            block.norm1.emb.class_embedder.dropout_prob = config.block_label_dropout
        if config.adaln_zero_init:
            self._zero_init()

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        return self.backbone(z, timestep=logsnr, class_labels=class_ids, return_dict=False)[0]

    def _zero_init(self) -> None:
        """Start every block as the identity and the output at 0 (Peebles & Xie 2023, section 3.2)."""
        linears = [block.norm1.linear for block in self.backbone.transformer_blocks]
        for linear in (*linears, self.backbone.proj_out_1, self.backbone.proj_out_2):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
