//! What an ACCEPT does with its offers. Mesos carries operations out in their order.

use crate::offer::Plan;
use mesos_v1::proto::offer::Operation;
use mesos_v1::proto::offer::operation::{Launch, Reserve, Type, Unreserve};
use mesos_v1::proto::{Resource, TaskInfo};

/// Gives up what is not wanted, reserves what is, and launches on it.
pub(super) fn launch(plan: &Plan, task_info: TaskInfo) -> Vec<Operation> {
    let mut operations = Vec::with_capacity(3);
    if !plan.unreserve.is_empty() {
        operations.push(unreserve(plan.unreserve.clone()));
    }
    if !plan.reserve.is_empty() {
        operations.push(Operation {
            r#type: Some(Type::Reserve.into()),
            reserve: Some(Reserve { resources: plan.reserve.clone(), ..Reserve::default() }),
            ..Operation::default()
        });
    }
    operations.push(Operation {
        r#type: Some(Type::Launch.into()),
        launch: Some(Launch { task_infos: vec![task_info] }),
        ..Operation::default()
    });
    operations
}

/// Gives reservations up.
pub(super) fn unreserve(resources: Vec<Resource>) -> Operation {
    Operation {
        r#type: Some(Type::Unreserve.into()),
        unreserve: Some(Unreserve { resources }),
        ..Operation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_can_be_used_by_what_comes_after_it() {
        let some = || vec![Resource { name: "mem".to_owned(), ..Resource::default() }];
        let types = |plan: &Plan| -> Vec<_> {
            launch(plan, TaskInfo::default()).iter().map(Operation::r#type).collect()
        };
        let all = Plan { unreserve: some(), reserve: some(), ..Plan::default() };
        assert_eq!(types(&all), [Type::Unreserve, Type::Reserve, Type::Launch]);
        assert_eq!(types(&Plan::default()), [Type::Launch]);
    }
}
