//! Choices between branches.

use super::{Compiler, Result, index};
use crate::ast::Node;
use crate::first::{First, Follow};
use crate::program::{Dispatch, Inst, Target};

impl Compiler {
    pub(super) fn alternate(&mut self, branches: &[Node], follow: Follow) -> Result {
        let options: Vec<(First, Target)> =
            branches.iter().map(|branch| (First::of(branch).then(follow.first), self.label())).collect();
        let end = self.label();
        self.choice(&options)?;
        for (at, branch) in branches.iter().enumerate() {
            self.bind(options[at].1);
            self.emit(branch, follow)?;
            if at + 1 < branches.len() {
                self.push(Inst::Jump(end))?;
            }
        }
        self.bind(end);
        Ok(())
    }

    /// Goes to the options in order, leaving out those that cannot begin with the next byte.
    pub(super) fn choice(&mut self, options: &[(First, Target)]) -> Result {
        let viable = |byte: Option<u8>| -> Vec<Target> {
            let fits = |first: &First| first.nullable || byte.is_some_and(|byte| first.contains(byte));
            options.iter().filter(|(first, _)| fits(first)).map(|(_, target)| *target).collect()
        };
        let lists: Vec<Vec<Target>> =
            (0..=255).map(|byte| viable(Some(byte))).chain([viable(None)]).collect();
        if lists.iter().all(|list| list.len() == options.len()) {
            let all: Vec<Target> = options.iter().map(|(_, target)| *target).collect();
            return self.chain(&all);
        }
        let mut distinct: Vec<&Vec<Target>> = Vec::new();
        let mut classes = [0_u8; 257];
        for (list, class) in lists.iter().zip(&mut classes) {
            let known = distinct.iter().position(|other| *other == list);
            let number = known.unwrap_or_else(|| {
                distinct.push(list);
                distinct.len() - 1
            });
            // More than 256 different lists: let the last ones be a plain list of everything.
            *class = u8::try_from(number).unwrap_or(u8::MAX);
        }
        let everything: Vec<Target> = options.iter().map(|(_, target)| *target).collect();
        if distinct.len() > 255 {
            distinct.truncate(256);
            distinct[255] = &everything;
        }
        let distinct: Vec<Vec<Target>> = distinct.into_iter().cloned().collect();
        let place = self.dispatches.len();
        let mut dispatch = Dispatch { classes: [0; 256], end: classes[256], targets: Vec::new() };
        dispatch.classes.copy_from_slice(&classes[..256]);
        self.dispatches.push(dispatch);
        self.push(Inst::Dispatch(index(place)))?;
        for list in distinct {
            let target = match list.as_slice() {
                [] => 0,
                [one] => *one,
                many => {
                    let label = self.label();
                    self.bind(label);
                    self.chain(many)?;
                    label
                }
            };
            self.dispatches[place].targets.push(target);
        }
        Ok(())
    }

    fn chain(&mut self, targets: &[Target]) -> Result {
        for (at, target) in targets.iter().enumerate() {
            match targets.len() - at {
                1 => self.push(Inst::Jump(*target))?,
                2 => return self.push(Inst::Split(*target, targets[at + 1])),
                _ => {
                    let next = self.label();
                    self.push(Inst::Split(*target, next))?;
                    self.bind(next);
                }
            }
        }
        Ok(())
    }
}
