"""What the reports say, what they hide, and what can't break out of them."""

import copy
import json

from infra.policy.objects import load
from infra.review import compare, report
from tests.infra.program import ROOT
from tests.infra.review.examples import ALERTS, API, CONTAINER, ERRORS, HPA
from tests.infra.review.small_stack import add, cut, put, stack

REVISIONS = "main (1234567890) → working tree (1234567890)"
HOSTILE = "x|</details>`@everyone` <script>\n## injected"


def test_the_text_names_counts_risks_and_fields() -> None:
    review = compare("staging", stack(), stack(put(HPA, "spec.maxReplicas", 10)))
    text = [line.text for line in report.lines(review, REVISIONS)]
    assert text[0] == f"staging: {REVISIONS}"
    assert "  objects  1 changed" in text
    assert "  risks    1 high" in text
    assert any("HIGH   hpa-maximum-lowered" in line for line in text)
    assert text[-2:] == [
        "  ~ changed HorizontalPodAutoscaler api",
        "      ~ spec.maxReplicas: 20 → 10",
    ]


def test_an_expression_is_shown_before_and_after() -> None:
    review = compare("staging", stack(), stack(put(ALERTS, f"{ERRORS}.expr", "up == 0")))
    text = "\n".join(line.text for line in report.lines(review, REVISIONS))
    assert "before  sum(rate(errors_total" in text
    assert "after   up == 0" in text


def test_values_of_a_secret_are_never_shown() -> None:
    review = compare("staging", stack(), stack(put("Secret secrets", "data.KEY", "cGxhbnRlZA==")))
    text = "\n".join(line.text for line in report.lines(review, REVISIONS))
    everything = text + report.markdown([review], REVISIONS) + json.dumps(report.document(review))
    assert "data.KEY: (secret) → (secret)" in text
    assert "cGxhbnRlZA==" not in everything
    assert "eA==" not in everything


def test_a_value_is_no_markup() -> None:
    review = compare("staging", stack(), stack(put(API, f"{CONTAINER}.image", HOSTILE)))
    text = report.markdown([review], REVISIONS)
    table, details = text.split("<details>")
    assert "<script>" not in table
    assert "@everyone" not in table
    assert "\\|" in table
    inside = details.splitlines()[1:]
    inside = inside[: inside.index("</details>")]
    assert all(not line or line.startswith("    ") for line in inside)
    assert any("## injected" in line for line in inside)
    assert text.count("\n## ") == 1


def test_a_comment_fits_into_a_comment() -> None:
    objects = [
        add({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"a-{n}"}})
        for n in range(3_000)
    ]
    text = report.markdown([compare("staging", stack(), stack(*objects))], REVISIONS)
    assert len(text) < 65_536
    assert text.startswith(report.MARKER)
    assert "3000 created" in text
    assert "`make diff`" in text


def test_the_document_is_json_with_every_risk() -> None:
    review = compare("staging", stack(), stack(cut(HPA)))
    document = json.loads(json.dumps(report.document(review)))
    assert document["objects"]["deleted"] == 1
    assert [risk["rule"] for risk in document["risks"]] == ["hpa-removed"]
    assert document["changes"][0]["action"] == "deleted"


def test_a_new_violation_is_marked_and_counts_as_high() -> None:
    before = load(ROOT / "infra" / "rendered" / "staging")
    after = copy.deepcopy(before)
    budget = after.named("PodDisruptionBudget", "coinslot-api")
    assert isinstance(budget, dict)
    budget["spec"]["minAvailable"] = 20

    review = compare("staging", before, after)
    assert [is_new for _, is_new in review.violations] == [True]
    assert "coinslot-api keeps 20 pods" in review.violations[0][0]
    assert review.reaches("high")
    assert not compare("staging", after, after).reaches("high")
    text = "\n".join(line.text for line in report.lines(review, REVISIONS))
    assert "    NEW    budget-below-minimum" in text
    assert "**(new)**" in report.markdown([review], REVISIONS)


def test_a_side_that_the_policies_stumble_over_is_said_to_be_so() -> None:
    review = compare("staging", stack(), stack(cut("NetworkPolicy database", "spec.podSelector")))
    message = "can't be checked by this rule: ValueError: NetworkPolicy database has no podSelector"
    assert any(message in text and new for text, new in review.violations), review.violations


def test_a_change_that_a_rule_stumbles_over_is_said_to_be_so() -> None:
    review = compare("staging", stack(), stack(put(API, f"{CONTAINER}.resources.limits.cpu", "x")))
    message = "this rule can't check the change: ValueError: 'x' is no Kubernetes quantity"
    assert ("limits-lowered", message) in [(risk.rule, risk.text) for risk in review.risks]
