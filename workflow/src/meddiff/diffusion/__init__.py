"""The method (schedule, noise, errors, votes, stopping, sampling), in the order of reading.

| paper | formula | module |
|---|---|---|
| diffusion | z = alpha x + sigma eps; x, eps or v of what a network predicts | `schedule` |
| | x in [-1, 1] of stored images, and its Haar transform | `pixels`, `haar` |
| | eps_hat(z, logSNR, class): the contract of all networks (`meddiff.networks`) | `denoiser` |
| training | w(logSNR) mean (eps_hat - eps)^2, labels dropped now and then | `objective` |
| algorithm 1 | t and eps of (seed, image, step), the same for all classes | `noise` |
| | error of a class: sum (eps_hat_c - eps)^2 | `errors` |
| majority vote | winner: most steps with the lowest error; or the lowest mean error | `vote` |
| uncertainty | entropy of vote shares and of softmax(-mean / 2), paired t | `vote` |
| counterfactual | noise x to t, denoise as another class, with guidance | `sample` |

Beyond the paper: in which order steps are evaluated (`step_order`), after how many an image may stop
(`stopping`, `majority_rule`, `vote_table`), and votes weighted by noise level (`level_weights`).
`meddiff.scoring` applies all this to image sets; nothing here knows files, or a library of networks.
"""
