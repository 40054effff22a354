from leaderboard.boards import Entry
from leaderboard.method_controls import controlled
from suite.experiments import registry

SHUFFLED = Entry("resonance_sampled_shuffled", "")
SAMPLED = Entry("resonance_sampled", "")


def test_a_control_is_declared_and_has_the_settings_of_its_method():
    tuned = Entry("resonance_sampled", "", tuned=True)
    other = Entry("resonance_sampled", "average=0.5")
    entries = [SAMPLED, SHUFFLED, tuned, other, Entry("resonance", "")]
    assert controlled(SHUFFLED, entries) == [SAMPLED]
    assert controlled(SAMPLED, entries) == []
    assert controlled(Entry(SHUFFLED.method, "average=0.5"), entries) == [other]


def test_a_shuffled_setting_is_a_control_wherever_it_stands_among_the_settings():
    plain, both = Entry("resonance", "a=1, z=2"), Entry("resonance", "a=1, shuffle=fixed, z=2")
    assert controlled(both, [plain, Entry("resonance", "")]) == [plain]
    alone = Entry("resonance", "shuffle=each")
    assert controlled(alone, [plain, Entry("resonance", ""), alone]) == [Entry("resonance", "")]
    assert controlled(Entry("resonance", "shuffle=none"), [Entry("resonance", "")]) == []


def test_methods_that_are_not_installed_control_nothing():
    assert controlled(Entry("made_by_someone", ""), [SAMPLED, SHUFFLED]) == []


def test_every_declared_control_names_a_method():
    known = registry.methods()
    named = {method.name: method.control_of for method in known if method.control_of}
    assert named["resonance_shuffled"] == "resonance"
    assert named["rigl_mean_gradient"] == "resonance_coherent"
    assert all(name in known for name in named.values())
