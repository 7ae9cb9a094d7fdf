//! The snapshot of a client of VDI, by copying: the database's files, which the server's metadata
//! names, lie beside the stored stream in the folder `FILE.snapshot`, named by their ids.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mtf::{Configuration, Events, MtfError, Reader, Sfin};

/// Copies the files of the database whose metadata is stored in `stream`.
pub(crate) fn take(stream: &Path) -> io::Result<()> {
    let folder = folder(stream);
    fs::create_dir_all(&folder)?;
    for (id, file) in data_files(stream)? {
        copy(&file, &folder.join(id.to_string()))?;
    }
    Ok(())
}

/// Brings them back to where they were.
pub(crate) fn mount(stream: &Path) -> io::Result<()> {
    let folder = folder(stream);
    for (id, file) in data_files(stream)? {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        copy(&folder.join(id.to_string()), &file)?;
    }
    Ok(())
}

fn folder(stream: &Path) -> PathBuf {
    let mut name = stream.as_os_str().to_owned();
    name.push(".snapshot");
    PathBuf::from(name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Ids and paths of the data files that a stream's metadata names.
fn data_files(stream: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    #[derive(Default)]
    struct Files(Vec<(u32, PathBuf)>);
    impl Events for Files {
        type Error = MtfError;

        fn configuration(&mut self, configuration: &Configuration) -> Result<(), MtfError> {
            let data = configuration.files().filter(|file| !file.is_log());
            self.0 = data
                .map(|file| (file.get(Sfin::FILE_ID), file.text(Sfin::PHYSICAL_NAME).into()))
                .collect();
            Ok(())
        }
    }
    let mut files = Files::default();
    let (mut reader, mut input) = (Reader::new(), File::open(stream)?);
    let mut buffer = vec![0; 1 << 16];
    while !reader.is_finished() {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let fed = reader.feed(&buffer[..count], &mut files);
        fed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(files.0)
}
