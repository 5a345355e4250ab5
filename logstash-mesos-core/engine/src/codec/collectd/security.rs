//! Signed and encrypted packets, and the file of users and passwords that both need.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aes::Aes256;
use aes::cipher::{BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::packet::Malformed;

/// What of a packet may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Packets are taken as they come, signed, encrypted or neither.
    Nothing,
    /// What is signed or encrypted.
    Sign,
    /// What is encrypted.
    Encrypt,
}

/// Why a signed or encrypted packet is not used.
#[derive(Debug, Error, PartialEq)]
pub(super) enum Refused {
    #[error("user `{0}` is not in the authfile")]
    UnknownUser(String),
    #[error("it is encrypted, and there is no authfile")]
    NoAuthfile,
    #[error("the authfile cannot be read: {0}")]
    Unreadable(String),
    #[error("its signature is not that of user `{0}`: does the password differ?")]
    Signature(String),
    #[error("it cannot be decrypted with the password of user `{0}`: does the password differ?")]
    Checksum(String),
    #[error("{}", .0.0)]
    Malformed(Malformed),
}

/// Passwords by user, from a file that is read again when it has changed.
#[derive(Debug)]
pub(super) struct Authfile {
    path: PathBuf,
    read: Mutex<(Option<SystemTime>, HashMap<String, String>)>,
}

impl Authfile {
    /// Reads the file. The number of its lines that are no `user: password` comes with it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, usize)> {
        let (passwords, odd) = parse(&std::fs::read_to_string(path)?);
        let read = Mutex::new((std::fs::metadata(path)?.modified().ok(), passwords));
        Ok((Self { path: path.to_owned(), read }, odd))
    }

    fn password(&self, user: &str) -> Result<String, Refused> {
        let unreadable = |error: io::Error| Refused::Unreadable(error.to_string());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let modified = std::fs::metadata(&self.path).and_then(|data| data.modified()).map_err(unreadable)?;
        if read.0 != Some(modified) {
            let text = std::fs::read_to_string(&self.path).map_err(unreadable)?;
            *read = (Some(modified), parse(&text).0);
        }
        read.1.get(user).cloned().ok_or_else(|| Refused::UnknownUser(user.to_owned()))
    }
}

fn parse(text: &str) -> (HashMap<String, String>, usize) {
    let mut passwords = HashMap::new();
    let mut odd = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let pair = line.split_once(':').map(|(user, password)| (user.trim(), password.trim()));
        match pair.filter(|(user, password)| !user.is_empty() && !password.is_empty()) {
            Some((user, password)) => {
                passwords.insert(user.to_owned(), password.to_owned());
            }
            None => odd += 1,
        }
    }
    (passwords, odd)
}

/// Checks the content of a signature against the `rest` of the packet: HMAC-SHA256 of user and rest, then the user.
pub(super) fn verify(content: &[u8], rest: &[u8], authfile: &Authfile) -> Result<(), Refused> {
    let Some((signature, user)) = content.split_first_chunk::<32>().filter(|(_, user)| !user.is_empty())
    else {
        return Err(Refused::Malformed(Malformed("a signature is too short, or has no user")));
    };
    let name = String::from_utf8_lossy(user).into_owned();
    let password = authfile.password(&name)?;
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(password.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(user);
    mac.update(rest);
    mac.verify_slice(signature).map_err(|_| Refused::Signature(name))
}

/// Decrypts the content of an encrypted part: length of the user and the user, 16 bytes of initialization vector,
/// then AES-256 in output feedback mode over SHA-1 of the packet and the packet.
pub(super) fn decrypt(content: &[u8], authfile: Option<&Authfile>) -> Result<Vec<u8>, Refused> {
    let short = Refused::Malformed(Malformed("an encrypted part is too short"));
    let Some(parts) = split_encrypted(content) else { return Err(short) };
    let (user, iv, encrypted) = parts;
    let name = String::from_utf8_lossy(user).into_owned();
    let password = authfile.ok_or(Refused::NoAuthfile)?.password(&name)?;
    let mut plain = encrypted.to_vec();
    apply_keystream(&Sha256::digest(password.as_bytes()).into(), iv, &mut plain);
    let packet = plain.split_off(SHA1_BYTES.min(plain.len()));
    if Sha1::digest(&packet).as_slice() != plain {
        return Err(Refused::Checksum(name));
    }
    Ok(packet)
}

fn split_encrypted(content: &[u8]) -> Option<(&[u8], &[u8; 16], &[u8])> {
    let (length, rest) = content.split_first_chunk::<2>()?;
    let (user, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (iv, encrypted) = rest.split_first_chunk::<16>()?;
    Some((user, iv, encrypted))
}

/// Output feedback: every block of the key stream is the encryption of the one before.
fn apply_keystream(key: &[u8; 32], iv: &[u8; 16], data: &mut [u8]) {
    let cipher = Aes256::new(key.into());
    let mut block = (*iv).into();
    for chunk in data.chunks_mut(16) {
        cipher.encrypt_block(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
    }
}

const SHA1_BYTES: usize = 20;
