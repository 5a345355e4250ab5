//! Plugins and the conditions between them.

use super::condition::{Condition, EvaluationError};
use crate::event::Event;

/// A sequence of plugins and branches, in the order of the configuration.
///
/// Filters and outputs have the same shape: for filters an event goes from one node to the next, for
/// outputs every node gets it.
#[derive(Clone, Debug)]
pub struct Graph<P> {
    /// The nodes, in order.
    pub nodes: Vec<Node<P>>,
}

/// A part of a [`Graph`].
#[derive(Clone, Debug)]
pub enum Node<P> {
    /// One plugin, which every event passes that comes here.
    Plugin(P),
    /// `if … else if … else …`.
    If {
        /// The conditions in order, each with what is done where it is the first to hold.
        arms: Vec<(Condition, Graph<P>)>,
        /// What is done where none holds.
        otherwise: Graph<P>,
    },
}

impl<P> Default for Graph<P> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<P> Graph<P> {
    /// Whether there is no plugin in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The plugin written first.
    #[must_use]
    pub fn first(&self) -> Option<&P> {
        self.nodes.iter().find_map(|node| match node {
            Node::Plugin(plugin) => Some(plugin),
            Node::If { arms, otherwise } => {
                arms.iter().find_map(|(_, graph)| graph.first()).or_else(|| otherwise.first())
            }
        })
    }

    /// Calls `visit` for every plugin, in the order of the configuration.
    pub fn for_each<'g>(&'g self, visit: &mut impl FnMut(&'g P)) {
        for node in &self.nodes {
            match node {
                Node::Plugin(plugin) => visit(plugin),
                Node::If { arms, otherwise } => {
                    for (_, graph) in arms {
                        graph.for_each(visit);
                    }
                    otherwise.for_each(visit);
                }
            }
        }
    }

    /// Calls `visit` for every plugin, to change it.
    pub fn for_each_mut(&mut self, visit: &mut impl FnMut(&mut P)) {
        for node in &mut self.nodes {
            match node {
                Node::Plugin(plugin) => visit(plugin),
                Node::If { arms, otherwise } => {
                    for (_, graph) in arms {
                        graph.for_each_mut(visit);
                    }
                    otherwise.for_each_mut(visit);
                }
            }
        }
    }

    /// Calls `visit` for every plugin that `event` reaches when each node gets it, as outputs do.
    ///
    /// # Errors
    ///
    /// [`EvaluationError`] when a condition has no answer; plugins before it have been visited.
    pub fn route(&mut self, event: &Event, visit: &mut impl FnMut(&mut P)) -> Result<(), EvaluationError> {
        for node in &mut self.nodes {
            match node {
                Node::Plugin(plugin) => visit(plugin),
                Node::If { arms, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, graph) in arms {
                        if condition.holds(event)? {
                            chosen = graph;
                            break;
                        }
                    }
                    chosen.route(event, visit)?;
                }
            }
        }
        Ok(())
    }

    /// The same shape with other plugins in it.
    ///
    /// # Errors
    ///
    /// The first error of `make`.
    pub fn try_map<Q, E>(&self, make: &mut impl FnMut(&P) -> Result<Q, E>) -> Result<Graph<Q>, E> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            nodes.push(match node {
                Node::Plugin(plugin) => Node::Plugin(make(plugin)?),
                Node::If { arms, otherwise } => Node::If {
                    arms: arms
                        .iter()
                        .map(|(condition, graph)| Ok((condition.clone(), graph.try_map(make)?)))
                        .collect::<Result<_, E>>()?,
                    otherwise: otherwise.try_map(make)?,
                },
            });
        }
        Ok(Graph { nodes })
    }

    /// The same shape with other plugins in it.
    #[must_use]
    pub fn map<Q>(&self, mut make: impl FnMut(&P) -> Q) -> Graph<Q> {
        let made: Result<_, std::convert::Infallible> = self.try_map(&mut |plugin| Ok(make(plugin)));
        match made {
            Ok(graph) => graph,
            Err(never) => match never {},
        }
    }
}
