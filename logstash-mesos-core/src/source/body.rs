//! The bytes of a file of a stream: as they lie there, or unpacked.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;

use super::Fingerprint;

/// Read from any place; going back in a compressed one begins it again.
#[derive(Debug)]
pub(super) enum Body {
    Plain(File),
    Gzip { file: File, unpacking: Option<Box<Unpacking>> },
}

#[derive(Debug)]
pub(super) struct Unpacking {
    decoder: MultiGzDecoder<File>,
    at: u64,
}

impl Body {
    pub(super) fn new(file: File, compressed: bool) -> Self {
        if compressed { Self::Gzip { file, unpacking: None } } else { Self::Plain(file) }
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Plain(file) | Self::Gzip { file, .. } => file,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Reads from `at` on into the room that `into` has. Returns how much came, 0 at the end.
    pub(super) fn read_at(&mut self, into: &mut Vec<u8>, at: u64) -> io::Result<usize> {
        let (file, unpacking) = match self {
            Self::Plain(file) => loop {
                match rustix::io::pread(&*file, rustix::buffer::spare_capacity(into), at) {
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                    Ok(n) => return Ok(n),
                }
            },
            Self::Gzip { file, unpacking } => (file, unpacking),
        };
        let unpacked = match unpacking.take().filter(|unpacking| unpacking.at <= at) {
            Some(unpacking) => *unpacking,
            None => Unpacking::of(file)?,
        };
        let (unpacked, read) = unpacked.read(into, at)?;
        *unpacking = Some(Box::new(unpacked));
        Ok(read)
    }

    /// As many of the first bytes as a fingerprint covers at most.
    pub(super) fn head(&mut self) -> io::Result<Vec<u8>> {
        if let Self::Plain(file) = self {
            return Fingerprint::head(file);
        }
        let mut head = Vec::with_capacity(Fingerprint::MOST);
        self.read_at(&mut head, 0)?;
        Ok(head)
    }

    /// How many bytes there are when unpacked; of a compressed file, the last four bytes say it, modulo 4 GiB.
    pub(super) fn len(&self) -> io::Result<u64> {
        let len = self.file().metadata()?.len();
        if self.is_plain() || len < 4 {
            return Ok(len);
        }
        let mut size = [0; 4];
        self.file().read_exact_at(&mut size, len - 4)?;
        Ok(u64::from(u32::from_le_bytes(size)))
    }
}

impl Unpacking {
    fn of(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(Self { decoder: MultiGzDecoder::new(file), at: 0 })
    }

    fn read(mut self, into: &mut Vec<u8>, at: u64) -> io::Result<(Self, usize)> {
        self.at += io::copy(&mut self.decoder.by_ref().take(at - self.at), &mut io::sink())?;
        if self.at < at {
            return Ok((self, 0));
        }
        let room = into.capacity() - into.len();
        let read = self.decoder.by_ref().take(room as u64).read_to_end(into)?;
        self.at += read as u64;
        Ok((self, read))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_compressed_file_is_read_from_any_place() {
        let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&packed.finish().unwrap()).unwrap();
        let mut body = Body::new(file, true);
        assert_eq!(body.len().unwrap(), text.len() as u64);
        assert_eq!(body.head().unwrap(), text[..Fingerprint::MOST]);
        for at in [0, 100, 150_000, 7] {
            let mut found = Vec::with_capacity(1000);
            assert_eq!(body.read_at(&mut found, at as u64).unwrap(), found.len());
            assert_eq!(found, text[at..at + found.len()], "from {at}");
            assert!(found.len() >= 1000);
        }
        let mut none = Vec::with_capacity(10);
        assert_eq!(body.read_at(&mut none, text.len() as u64).unwrap(), 0);
        // Half of it is an error and not the end.
        let whole = body.file().metadata().unwrap().len();
        body.file().set_len(whole / 2).unwrap();
        let mut all = Vec::with_capacity(text.len());
        assert!(Body::new(body.file().try_clone().unwrap(), true).read_at(&mut all, 0).is_err());
    }
}
