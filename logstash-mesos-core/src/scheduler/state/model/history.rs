//! What may happen.

use proptest::prelude::*;

/// One step of a history. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(super) enum Happens {
    /// The scheduler takes so many events that have come.
    Handle(u8),
    /// The master takes so many calls that have come.
    Serve(u8),
    /// An event overtakes the one before it.
    Overtake(u8),
    /// An update comes once more.
    Repeat(u8),
    /// The master offers what is free on an agent.
    Offer(u8),
    /// The master takes an offer back.
    Rescind(u8),
    /// A task starts.
    Confirm(u8),
    /// A task fails.
    Fail(u8),
    /// An agent is cut off.
    Part(u8),
    /// It comes back.
    Return(u8),
    /// An agent's machine is gone for good, and another one takes its place.
    Lose(u8),
    /// The stream ends, with so many calls still served.
    Drop(u8),
    /// Another master leads.
    FailOver,
    /// The scheduler ends after so many further actions, and another begins with what is stored.
    Crash(u8),
    /// So many seconds pass.
    Pass(u8),
    /// The scheduler ends, and the next one finds a state without what is known of an agent, as in an older copy.
    Forget(u8),
    /// Executors are to be of another definition.
    Redefine(u8),
    /// Maintenance of an agent is planned, to begin after some minutes; or it is called off.
    Plan(u8),
}

pub(super) fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    let n = || any::<u8>();
    prop_oneof![
        8 => n().prop_map(Handle), 8 => n().prop_map(Serve), 2 => n().prop_map(Overtake),
        2 => n().prop_map(Repeat), 6 => n().prop_map(Offer), 2 => n().prop_map(Rescind),
        4 => n().prop_map(Confirm), 2 => n().prop_map(Fail), 1 => n().prop_map(Part),
        2 => n().prop_map(Return), 1 => n().prop_map(Lose), 1 => n().prop_map(Drop),
        1 => Just(FailOver), 2 => n().prop_map(Crash), 3 => n().prop_map(Pass),
        1 => n().prop_map(Forget), 1 => n().prop_map(Redefine), 1 => n().prop_map(Plan),
    ]
}
