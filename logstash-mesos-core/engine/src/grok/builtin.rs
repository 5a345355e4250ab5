//! The pattern definitions that come with Logstash, in its two sets.
//!
//! The files are those of logstash-patterns-core; `patterns/NOTICE` names their source and licence.

/// Files of the set with the old field names, in the order in which Logstash reads them.
pub(super) static LEGACY: &[&str] = &[
    include_str!("../../patterns/legacy/aws"),
    include_str!("../../patterns/legacy/bacula"),
    include_str!("../../patterns/legacy/bind"),
    include_str!("../../patterns/legacy/bro"),
    include_str!("../../patterns/legacy/exim"),
    include_str!("../../patterns/legacy/firewalls"),
    include_str!("../../patterns/legacy/grok-patterns"),
    include_str!("../../patterns/legacy/haproxy"),
    include_str!("../../patterns/legacy/httpd"),
    include_str!("../../patterns/legacy/java"),
    include_str!("../../patterns/legacy/junos"),
    include_str!("../../patterns/legacy/linux-syslog"),
    include_str!("../../patterns/legacy/maven"),
    include_str!("../../patterns/legacy/mcollective"),
    include_str!("../../patterns/legacy/mcollective-patterns"),
    include_str!("../../patterns/legacy/mongodb"),
    include_str!("../../patterns/legacy/nagios"),
    include_str!("../../patterns/legacy/postgresql"),
    include_str!("../../patterns/legacy/rails"),
    include_str!("../../patterns/legacy/redis"),
    include_str!("../../patterns/legacy/ruby"),
    include_str!("../../patterns/legacy/squid"),
];

/// Files of the set with the names of the Elastic Common Schema.
pub(super) static ECS_V1: &[&str] = &[
    include_str!("../../patterns/ecs-v1/aws"),
    include_str!("../../patterns/ecs-v1/bacula"),
    include_str!("../../patterns/ecs-v1/bind"),
    include_str!("../../patterns/ecs-v1/bro"),
    include_str!("../../patterns/ecs-v1/exim"),
    include_str!("../../patterns/ecs-v1/firewalls"),
    include_str!("../../patterns/ecs-v1/grok-patterns"),
    include_str!("../../patterns/ecs-v1/haproxy"),
    include_str!("../../patterns/ecs-v1/httpd"),
    include_str!("../../patterns/ecs-v1/java"),
    include_str!("../../patterns/ecs-v1/junos"),
    include_str!("../../patterns/ecs-v1/linux-syslog"),
    include_str!("../../patterns/ecs-v1/maven"),
    include_str!("../../patterns/ecs-v1/mcollective"),
    include_str!("../../patterns/ecs-v1/mongodb"),
    include_str!("../../patterns/ecs-v1/nagios"),
    include_str!("../../patterns/ecs-v1/postgresql"),
    include_str!("../../patterns/ecs-v1/rails"),
    include_str!("../../patterns/ecs-v1/redis"),
    include_str!("../../patterns/ecs-v1/ruby"),
    include_str!("../../patterns/ecs-v1/squid"),
    include_str!("../../patterns/ecs-v1/zeek"),
];
