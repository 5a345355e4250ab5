//! Mesos v1.
