"""What the experiment's ``study`` block may say: what only its authors know, for a paper's check lists."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from meddiff.config.schema.strict import Strict

# Plain text; line breaks and tabs are the only control characters.
Statement = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=5000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
    ),
]


def said(what: str) -> Statement | None:
    """An optional statement."""
    return Field(default=None, description=what)


class StudyConfig(Strict):
    """Statements of the authors. They stand in the report, and change nothing else.

    Each answers items of CLAIM and TRIPOD+AI (`meddiff.writing.claim`, `meddiff.writing.tripod`).
    """

    background: Statement | None = said("what is known, why the question matters, and earlier models")
    aims: Statement | None = said("what the study is to find out, with hypotheses where there are some")
    design: Statement | None = said("prospective or retrospective, and of which kind")
    intended_use: Statement | None = said("what the model is for, and its place in care")
    users: Statement | None = said("who would use it, with what training, and what they decide")
    population: Statement | None = said("whom it is for, and how far the images are like them")
    inequalities: Statement | None = said("known differences in care between groups of people")
    setting: Statement | None = said("hospitals, their number and kind, and where they are")
    dates: Statement | None = said("when the images were taken, first to last")
    eligibility: Statement | None = said("who could be included, beside what the dataset's file leaves out")
    treatments: Statement | None = said("treatments before imaging that change how images look")
    deidentification: Statement | None = said("how images and tables were made anonymous")
    acquisition: Statement | None = said("machines and protocols that the images were taken with")
    missing_data: Statement | None = said("what was missing, and what was done about it")
    reference_standard: Statement | None = said("how it was decided of which class an image is")
    reference_rationale: Statement | None = said("why so, where there were other ways")
    annotators: Statement | None = said("who labelled, how qualified, and with what instructions")
    test_annotation: Statement | None = said("how the test images were labelled, if differently")
    rater_agreement: Statement | None = said("how far those who labelled agree, and what was done about it")
    blinding: Statement | None = said("what those who labelled did not know")
    sample_size: Statement | None = said("why so many images, of training and of test")
    fairness: Statement | None = said("what was done so that no group of people is served worse")
    differences: Statement | None = said("what differs between training and test data")
    updating: Statement | None = said("whether a model was changed after its test, and how")
    limitations: Statement | None = said("what the study cannot show, and what could mislead")
    implications: Statement | None = said("what the results mean for care")
    interpretation: Statement | None = said("what was found, beside earlier work and for groups of people")
    poor_input: Statement | None = said("what is done with images that are missing or bad, when it is used")
    next_steps: Statement | None = said("what has to be studied next")
    patient_involvement: Statement | None = said("how patients or the public took part, or that they did not")
    ethics: Statement | None = said("approval and consent, or why none was needed")
    funding: Statement | None = said("who paid, and what part they had")
    conflicts: Statement | None = said("interests of the authors")
    protocol: Statement | None = said("where the study's protocol is, or that there is none")
    registration: Statement | None = said("where it is registered, or that it is not")
    data_availability: Statement | None = said("where others get the data")
    code_availability: Statement | None = said("where others get code and weights")
    abstract: Statement | None = said("where the summary of the paper is, or its text")
    identification: Statement | None = said("the title of the paper")
