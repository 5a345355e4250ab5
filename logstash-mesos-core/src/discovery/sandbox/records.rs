//! What an agent notes of its tasks below `meta/`, in order to find them again after a restart.
//!
//! A record is one message of Mesos 1.x behind its length, four bytes in the machine's order. Only the fields that are
//! used are named here; the numbers are the same in v0 and v1 (`mesos.proto`).

use std::collections::BTreeMap;

use prost::Message;

/// What the agent keeps of a framework, in the file `framework.info`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FrameworkInfo {
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

/// What the agent keeps of an executor, in the file `executor.info`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExecutorInfo {
    #[prost(message, repeated, tag = "5")]
    pub(super) resources: Vec<Resource>,
    #[prost(message, optional, tag = "11")]
    pub(super) container: Option<ContainerInfo>,
    #[prost(message, optional, tag = "14")]
    pub(super) labels: Option<Labels>,
}

/// What the agent keeps of a task, in the file `task.info`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Task {
    #[prost(message, repeated, tag = "7")]
    pub(super) resources: Vec<Resource>,
    #[prost(message, optional, tag = "11")]
    pub(super) labels: Option<Labels>,
    #[prost(message, optional, tag = "13")]
    pub(super) container: Option<ContainerInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Labels {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, optional, tag = "11")]
    pub(super) allocation: Option<Allocation>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Allocation {
    #[prost(string, tag = "1")]
    pub(super) role: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerInfo {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) docker: Option<DockerInfo>,
    #[prost(message, optional, tag = "5")]
    pub(super) mesos: Option<MesosInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DockerInfo {
    #[prost(string, tag = "1")]
    pub(super) image: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MesosInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(message, optional, tag = "3")]
    pub(super) docker: Option<ImageName>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageName {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `ContainerInfo.type` of the Docker containerizer.
const DOCKER: i32 = 1;

impl ContainerInfo {
    /// Whether the Docker containerizer runs it.
    pub(super) fn by_docker(&self) -> bool {
        self.kind == DOCKER
    }

    /// The image, if there is one.
    pub(super) fn image(&self) -> Option<&str> {
        let name = match self.by_docker() {
            true => &self.docker.as_ref()?.image,
            false => &self.mesos.as_ref()?.image.as_ref()?.docker.as_ref()?.name,
        };
        Some(name.as_str()).filter(|name| !name.is_empty())
    }
}

/// The role that resources are allocated to: one, for all of a task or an executor.
pub(super) fn role(resources: &[Resource]) -> Option<String> {
    let role = resources.iter().find_map(|resource| resource.allocation.as_ref())?.role.clone();
    Some(role).filter(|role| !role.is_empty())
}

/// Labels by their keys; of two with the same key the first counts.
pub(super) fn by_key(labels: Option<&Labels>) -> BTreeMap<String, String> {
    let labels = labels.map_or(&[][..], |labels| &labels.labels);
    labels.iter().rev().map(|label| (label.key.clone(), label.value.clone())).collect()
}

/// The message of a record; `None` for one that is not complete, or none of this kind.
pub(super) fn decode<M: Message + Default>(record: &[u8]) -> Option<M> {
    let (length, rest) = record.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    M::decode(rest.get(..length)?).ok()
}

/// As the agent writes it.
#[cfg(test)]
pub(super) fn encode(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("it is small");
    [length.to_ne_bytes().as_slice(), &bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_record_is_none() {
        let record = encode(&FrameworkInfo { name: "marathon".into() });
        assert_eq!(decode::<FrameworkInfo>(&record).map(|info| info.name).as_deref(), Some("marathon"));
        for end in 0..record.len() {
            assert_eq!(decode::<FrameworkInfo>(&record[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_containerizer_decides_which_image_counts() {
        let image = |name: &str| Image { docker: Some(ImageName { name: name.into() }) };
        let both = |kind| ContainerInfo {
            kind,
            docker: Some(DockerInfo { image: "nginx".into() }),
            mesos: Some(MesosInfo { image: Some(image("alpine")) }),
        };
        assert_eq!(both(1).image(), Some("nginx"));
        assert_eq!(both(2).image(), Some("alpine"));
        assert_eq!(ContainerInfo { kind: 2, docker: None, mesos: None }.image(), None);
    }
}
