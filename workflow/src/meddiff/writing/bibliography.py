"""What methods cite: bibliographic facts, and BibTeX of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from meddiff.errors import ConfigError

_ICML, _ICCV, _CVPR = (
    "International Conference on Machine Learning",
    "IEEE/CVF International Conference on Computer Vision",
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
)
_NEURIPS, _ICLR = (
    "Advances in Neural Information Processing Systems",
    ("International Conference on Learning Representations"),
)
# Key -> authors (BibTeX), title, where it appeared, year, further fields.
_Entry = tuple[str, str, str, int, dict[str, str]]
_ENTRIES: dict[str, _Entry] = {
    "favero2025": (
        "Favero, Gian Mario and Saremi, Parham and Kaczmarek, Emily and Nichyporuk, Brennan and Arbel, Tal",
        "Conditional Diffusion Models are Medical Image Classifiers that Provide Explainability and "
        "Uncertainty for Free",
        "Medical Imaging with Deep Learning",
        2025,
        {"eprint": "2502.03687", "archiveprefix": "arXiv"},
    ),
    "li2023": (
        "Li, Alexander C. and Prabhudesai, Mihir and Duggal, Shivam and Brown, Ellis and Pathak, Deepak",
        "Your Diffusion Model is Secretly a Zero-Shot Classifier",
        _ICCV,
        2023,
        {"eprint": "2303.16203", "archiveprefix": "arXiv"},
    ),
    "ho2020": (
        "Ho, Jonathan and Jain, Ajay and Abbeel, Pieter",
        "Denoising Diffusion Probabilistic Models",
        _NEURIPS,
        2020,
        {"eprint": "2006.11239", "archiveprefix": "arXiv"},
    ),
    "ho2022": (
        "Ho, Jonathan and Salimans, Tim",
        "Classifier-Free Diffusion Guidance",
        "arXiv preprint",
        2022,
        {"eprint": "2207.12598", "archiveprefix": "arXiv"},
    ),
    "hoogeboom2023": (
        "Hoogeboom, Emiel and Heek, Jonathan and Salimans, Tim",
        "simple diffusion: End-to-end diffusion for high resolution images",
        _ICML,
        2023,
        {"eprint": "2301.11093", "archiveprefix": "arXiv"},
    ),
    "salimans2022": (
        "Salimans, Tim and Ho, Jonathan",
        "Progressive Distillation for Fast Sampling of Diffusion Models",
        _ICLR,
        2022,
        {"eprint": "2202.00512", "archiveprefix": "arXiv"},
    ),
    "hang2023": (
        "Hang, Tiankai and Gu, Shuyang and Li, Chen and Bao, Jianmin and Chen, Dong and Hu, Han and Geng, "
        "Xin "
        "and Guo, Baining",
        "Efficient Diffusion Training via Min-SNR Weighting Strategy",
        _ICCV,
        2023,
        {"eprint": "2303.09556", "archiveprefix": "arXiv"},
    ),
    "ronneberger2015": (
        "Ronneberger, Olaf and Fischer, Philipp and Brox, Thomas",
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "Medical Image Computing and Computer-Assisted Intervention",
        2015,
        {"eprint": "1505.04597", "archiveprefix": "arXiv"},
    ),
    "peebles2023": (
        "Peebles, William and Xie, Saining",
        "Scalable Diffusion Models with Transformers",
        _ICCV,
        2023,
        {"eprint": "2212.09748", "archiveprefix": "arXiv"},
    ),
    "rombach2022": (
        'Rombach, Robin and Blattmann, Andreas and Lorenz, Dominik and Esser, Patrick and Ommer, Bj{\\"o}rn',
        "High-Resolution Image Synthesis with Latent Diffusion Models",
        _CVPR,
        2022,
        {"eprint": "2112.10752", "archiveprefix": "arXiv"},
    ),
    "kingma2015": (
        "Kingma, Diederik P. and Ba, Jimmy",
        "Adam: A Method for Stochastic Optimization",
        _ICLR,
        2015,
        {"eprint": "1412.6980", "archiveprefix": "arXiv"},
    ),
    "loshchilov2019": (
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled Weight Decay Regularization",
        _ICLR,
        2019,
        {"eprint": "1711.05101", "archiveprefix": "arXiv"},
    ),
    "guo2017": (
        "Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.",
        "On Calibration of Modern Neural Networks",
        _ICML,
        2017,
        {"eprint": "1706.04599", "archiveprefix": "arXiv"},
    ),
    "platt1999": (
        "Platt, John C.",
        "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
        "Advances in Large Margin Classifiers",
        1999,
        {},
    ),
    "alexandari2020": (
        "Alexandari, Amr and Kundaje, Anshul and Shrikumar, Avanti",
        "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation",
        _ICML,
        2020,
        {"eprint": "1901.06852", "archiveprefix": "arXiv"},
    ),
    "saerens2002": (
        "Saerens, Marco and Latinne, Patrice and Decaestecker, Christine",
        "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
        "Neural Computation",
        2002,
        {"volume": "14", "number": "1", "pages": "21--41"},
    ),
    "angelopoulos2021": (
        "Angelopoulos, Anastasios N. and Bates, Stephen and Cand{\\`e}s, Emmanuel J. and Jordan, Michael I. "
        "and Lei, Lihua",
        "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control",
        "arXiv preprint",
        2021,
        {"eprint": "2110.01052", "archiveprefix": "arXiv"},
    ),
    "clopper1934": (
        "Clopper, C. J. and Pearson, E. S.",
        "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
        "Biometrika",
        1934,
        {"volume": "26", "number": "4", "pages": "404--413"},
    ),
    "korn1998": (
        "Korn, Edward L. and Graubard, Barry I.",
        "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from "
        "Survey Data",
        "Survey Methodology",
        1998,
        {"volume": "24", "pages": "193--201"},
    ),
    "efron1979": (
        "Efron, Bradley",
        "Bootstrap Methods: Another Look at the Jackknife",
        "The Annals of Statistics",
        1979,
        {"volume": "7", "number": "1", "pages": "1--26"},
    ),
    "fagerland2013": (
        "Fagerland, Morten W. and Lydersen, Stian and Laake, Petter",
        "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact "
        "conditional",
        "BMC Medical Research Methodology",
        2013,
        {"volume": "13", "pages": "91"},
    ),
    "bonett2012": (
        "Bonett, Douglas G. and Price, Robert M.",
        "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data",
        "Journal of Educational and Behavioral Statistics",
        2012,
        {"volume": "37", "number": "4", "pages": "479--488"},
    ),
    "venkatraman1996": (
        "Venkatraman, E. S. and Begg, Colin B.",
        "A distribution-free procedure for comparing receiver operating characteristic curves from a paired "
        "experiment",
        "Biometrika",
        1996,
        {"volume": "83", "number": "4", "pages": "835--848"},
    ),
    "holm1979": (
        "Holm, Sture",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        "Scandinavian Journal of Statistics",
        1979,
        {"volume": "6", "number": "2", "pages": "65--70"},
    ),
    "youden1950": (
        "Youden, W. J.",
        "Index for Rating Diagnostic Tests",
        "Cancer",
        1950,
        {"volume": "3", "number": "1", "pages": "32--35"},
    ),
    "vickers2006": (
        "Vickers, Andrew J. and Elkin, Elena B.",
        "Decision Curve Analysis: A Novel Method for Evaluating Prediction Models",
        "Medical Decision Making",
        2006,
        {"volume": "26", "number": "6", "pages": "565--574"},
    ),
    "selvaraju2017": (
        "Selvaraju, Ramprasaath R. and Cogswell, Michael and Das, Abhishek and Vedantam, Ramakrishna and "
        "Parikh, Devi and Batra, Dhruv",
        "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
        _ICCV,
        2017,
        {"eprint": "1610.02391", "archiveprefix": "arXiv"},
    ),
    "paszke2019": (
        "Paszke, Adam and others",
        "PyTorch: An Imperative Style, High-Performance Deep Learning Library",
        _NEURIPS,
        2019,
        {"eprint": "1912.01703", "archiveprefix": "arXiv"},
    ),
    "wightman2019": ("Wightman, Ross", "PyTorch Image Models", "GitHub", 2019, {"note": "timm"}),
    "vonplaten2022": (
        "von Platen, Patrick and others",
        "Diffusers: State-of-the-art diffusion models",
        "GitHub",
        2022,
        {"note": "diffusers"},
    ),
    "molder2021": (
        'M{\\"o}lder, Felix and others',
        "Sustainable data analysis with Snakemake",
        "F1000Research",
        2021,
        {"volume": "10", "pages": "33"},
    ),
    "tejani2024": (
        "Tejani, Ali S. and Klontzas, Michail E. and Gatti, Anthony A. and others",
        "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update",
        "Radiology: Artificial Intelligence",
        2024,
        {"volume": "6", "number": "4", "pages": "e240300"},
    ),
    "collins2024": (
        "Collins, Gary S. and Moons, Karel G. M. and Dhiman, Paula and others",
        "TRIPOD+AI statement: updated guidance for reporting clinical prediction models that use regression "
        "or machine learning methods",
        "BMJ",
        2024,
        {"volume": "385", "pages": "e078378"},
    ),
}
_CITED = re.compile(r"@([a-z]+\d{4})")
_JOURNALS = {
    *("Neural Computation", "Biometrika", "Survey Methodology", "The Annals of Statistics", "Cancer", "BMJ"),
    *("Scandinavian Journal of Statistics", "Medical Decision Making", "F1000Research"),
    *("Radiology: Artificial Intelligence", "BMC Medical Research Methodology"),
    "Journal of Educational and Behavioral Statistics",
}
_MISC = {"arXiv preprint", "GitHub"}


def cited(text: str) -> list[str]:
    """Keys that a text cites as ``[@key]`` or ``[@one; @other]``, in order, each once."""
    return list(dict.fromkeys(_CITED.findall(text)))


def short_name(key: str) -> str:
    """How a work is called in a text: ``Ho et al. 2020``."""
    authors, _, _, year, _ = _entry(key)
    families = [author.partition(",")[0] for author in authors.split(" and ")]
    plain = families[0].replace('{\\"o}', "ö")
    return f"{plain} et al. {year}" if len(families) > 1 else f"{plain} {year}"


def bibtex(keys: Iterable[str]) -> str:
    """Entries of BibTeX, in the order of their keys."""
    return "\n".join(_bibtex(key) for key in sorted(set(keys)))


def _entry(key: str) -> _Entry:
    if key not in _ENTRIES:
        raise ConfigError(f"{key}: the text cites a work that meddiff.writing.bibliography does not have")
    return _ENTRIES[key]


def _bibtex(key: str) -> str:
    authors, title, place, year, more = _entry(key)
    kind, container = ("misc", "howpublished") if place in _MISC else ("inproceedings", "booktitle")
    if place in _JOURNALS:
        kind, container = "article", "journal"
    fields = {"author": authors, "title": f"{{{title}}}", container: place, "year": str(year), **more}
    width = max(map(len, fields))
    body = "".join(f"  {name:<{width}} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}}}\n"
