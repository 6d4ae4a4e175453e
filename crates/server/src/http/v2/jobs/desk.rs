//! What is known of jobs, in memory and on disk.
//!
//! ```text
//! jobs/<id>/body           what was sent, until the job has come to its end
//! jobs/<id>/job.json       what is known of the job, written anew after each group
//! jobs/<id>/handles        handles that were made for rows, before they are written
//! jobs/<id>/faults.jsonl   the rows that were refused
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use guantong_api::v2::jobs::{JobAnswer, JobFault, JobState};
use guantong_core::template::RowForm;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::errand::locked;

/// Most jobs that are known. Of those that have ended, the oldest is forgotten for a new one.
const JOBS_MAX: usize = 100;
/// Jobs that are under way at a time: more would take turns at the same disk.
const RUNNING_MAX: usize = 2;
/// Most octets of bodies that are kept at a time.
pub(super) const SPOOLED_OCTETS_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Most refused rows of a job that are told one by one; what is behind them is counted.
const FAULTS_MAX: u64 = 20_000;
/// Most octets of what is told of them: they are given as one answer, and every field of a row may
/// have a fault that repeats what was sent.
const FAULT_OCTETS_MAX: u64 = 8 * 1024 * 1024;

//----------- Jobs -----------------------------------------------------------

/// The jobs of a node.
#[derive(Debug)]
pub(crate) struct Jobs {
    folder: PathBuf,
    known: Mutex<Vec<Arc<Job>>>,
    /// Octets of bodies on the disk.
    pub(super) spooled: AtomicU64,
    pub(super) places: Semaphore,
}

/// Why something is not done with a job.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{JOBS_MAX} jobs are waiting or under way; try again when one has come to its end")]
    Full,
    #[error("{0}")]
    WrongState(&'static str),
    #[error("the folder of jobs: {0}")]
    Disk(#[from] io::Error),
}

/// A folder for a job whose body is still on its way; gone if nothing comes of it.
pub(super) struct Begun {
    pub(super) id: String,
    folder: PathBuf,
    is_job: bool,
}

impl Begun {
    pub(super) fn body(&self) -> PathBuf {
        self.folder.join(BODY)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.is_job {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

const BODY: &str = "body";
const STATE: &str = "job.json";
const HANDLES: &str = "handles";
const FAULTS: &str = "faults.jsonl";

impl Jobs {
    /// Finds the jobs that a node has left. Those that were under way are interrupted.
    pub(crate) fn open(folder: PathBuf) -> Self {
        let mut known = Vec::new();
        let mut spooled = 0;
        // There is no folder before there is a job.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_id(&entry.file_name().to_string_lossy())) {
            match Job::load(&entry.path()) {
                Ok(job) => {
                    spooled += job.body_octets();
                    known.push(Arc::new(job));
                }
                Err(error) => {
                    // Its body had not come to its end, or it is damaged.
                    tracing::warn!(job = %entry.path().display(), %error, "a job is left out");
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        known.sort_by_key(|job| job.form().started_ms);
        Self {
            folder,
            known: Mutex::new(known),
            spooled: AtomicU64::new(spooled),
            places: Semaphore::new(RUNNING_MAX),
        }
    }

    /// The jobs of somebody, the latest first.
    pub(super) fn of(&self, owner: Option<&str>) -> Vec<JobAnswer> {
        let known = locked(&self.known);
        let forms = known.iter().rev().map(|job| job.form());
        forms.filter(|form| form.by.as_deref() == owner).collect()
    }

    pub(super) fn find(&self, id: &str, owner: Option<&str>) -> Option<Arc<Job>> {
        let known = locked(&self.known);
        let is_it = |job: &&Arc<Job>| {
            let form = job.form();
            form.id == id && form.by.as_deref() == owner
        };
        known.iter().find(is_it).cloned()
    }

    /// Makes room for a job, and a folder.
    pub(super) fn begin(&self, random: [u8; 8]) -> Result<Begun, Refused> {
        let mut known = locked(&self.known);
        if known.len() >= JOBS_MAX {
            let ended = known.iter().position(|job| job.has_ended());
            let ended = ended.ok_or(Refused::Full)?;
            let job = known.remove(ended);
            fs::remove_dir_all(&job.folder)?;
        }
        drop(known);
        let id = format!("{:016x}", u64::from_be_bytes(random));
        let folder = self.folder.join(&id);
        fs::create_dir_all(&folder)?;
        Ok(Begun {
            id,
            folder,
            is_job: false,
        })
    }

    /// A job whose body is there.
    pub(super) fn add(
        &self,
        mut begun: Begun,
        form: JobAnswer,
        format: RowForm,
    ) -> io::Result<Arc<Job>> {
        let known = Known {
            form,
            format,
            fault_octets: 0,
        };
        let job = Job::new(begun.folder.clone(), known);
        job.save(&locked(&job.known))?;
        begun.is_job = true;
        let job = Arc::new(job);
        locked(&self.known).push(job.clone());
        Ok(job)
    }

    /// Forgets a job that has come to its end.
    pub(super) fn forget(&self, job: &Arc<Job>) -> Result<(), Refused> {
        let is_stuck = job.form().state == JobState::Interrupted;
        if !job.has_ended() && !is_stuck {
            return Err(Refused::WrongState("the job is under way: cancel it first"));
        }
        let octets = job.body_octets();
        locked(&self.known).retain(|known| !Arc::ptr_eq(known, job));
        fs::remove_dir_all(&job.folder)?;
        self.spooled.fetch_sub(octets, Ordering::Relaxed);
        Ok(())
    }

    /// Stops a job for good; one that is under way stops before its next group.
    pub(super) fn cancel(&self, job: &Job, now_ms: u64) -> Result<(), Refused> {
        let octets = job.body_octets();
        if job.cancel(now_ms)? == Cancelled::AtOnce {
            self.spooled.fetch_sub(octets, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Notes that a job has come to its end; its body is not needed any more.
    pub(super) fn end(&self, job: &Job, state: JobState, detail: Option<String>, now_ms: u64) {
        let octets = job.body_octets();
        match job.end(state, detail, now_ms) {
            Ok(()) => drop(self.spooled.fetch_sub(octets, Ordering::Relaxed)),
            Err(error) => {
                tracing::error!(job = job.form().id, %error, "the end of a job was not written");
            }
        }
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|octet| octet.is_ascii_hexdigit())
}

//----------- Job ------------------------------------------------------------

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    folder: PathBuf,
    known: Mutex<Known>,
    is_cancelled: AtomicBool,
}

/// What is known of a job, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    form: JobAnswer,
    format: RowForm,
    /// How much of the file of faults belongs to rows that are done with.
    fault_octets: u64,
}

/// When a job that is cancelled comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelled {
    AtOnce,
    BeforeNextGroup,
}

/// What came of a group of rows.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) done: u64,
    /// Rows of these with references that could not be checked.
    pub(super) unchecked: u64,
    pub(super) faults: Vec<JobFault>,
}

impl Job {
    fn new(folder: PathBuf, known: Known) -> Self {
        Self {
            folder,
            known: Mutex::new(known),
            is_cancelled: AtomicBool::new(false),
        }
    }

    fn load(folder: &Path) -> io::Result<Self> {
        let mut known: Known = serde_json::from_slice(&fs::read(folder.join(STATE))?)?;
        if matches!(known.form.state, JobState::Waiting | JobState::Running) {
            known.form.state = JobState::Interrupted;
        }
        Ok(Self::new(folder.to_owned(), known))
    }

    /// What others are told of it.
    pub(super) fn form(&self) -> JobAnswer {
        locked(&self.known).form.clone()
    }

    pub(super) fn format(&self) -> RowForm {
        locked(&self.known).format
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    fn has_ended(&self) -> bool {
        let state = self.form().state;
        matches!(
            state,
            JobState::Done | JobState::Failed | JobState::Cancelled
        )
    }

    fn body_octets(&self) -> u64 {
        fs::metadata(self.folder.join(BODY)).map_or(0, |data| data.len())
    }

    pub(super) fn body(&self) -> io::Result<File> {
        File::open(self.folder.join(BODY))
    }

    /// The rows that were refused, as JSON Lines.
    pub(super) fn faults(&self) -> io::Result<Vec<u8>> {
        let len = locked(&self.known).fault_octets;
        let mut faults = match fs::read(self.folder.join(FAULTS)) {
            Ok(faults) => faults,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        faults.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(faults)
    }

    //--- Steps

    fn cancel(&self, now_ms: u64) -> Result<Cancelled, Refused> {
        self.is_cancelled.store(true, Ordering::Relaxed);
        match self.form().state {
            JobState::Waiting | JobState::Running => Ok(Cancelled::BeforeNextGroup),
            JobState::Interrupted => {
                self.end(JobState::Cancelled, None, now_ms)?;
                Ok(Cancelled::AtOnce)
            }
            _ => Err(Refused::WrongState("the job has come to its end")),
        }
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<(), Refused> {
        let mut known = locked(&self.known);
        if known.form.state != JobState::Interrupted {
            let message = "only a job that was interrupted by a stop of the node is resumed";
            return Err(Refused::WrongState(message));
        }
        known.form.state = JobState::Waiting;
        known.form.detail = None;
        Ok(())
    }

    pub(super) fn begin(&self) -> io::Result<()> {
        let mut known = locked(&self.known);
        known.form.state = JobState::Running;
        self.save(&known)
    }

    /// It cannot go on now; what is left is for a resumption.
    pub(super) fn interrupt(&self, detail: String) -> io::Result<()> {
        let mut known = locked(&self.known);
        known.form.state = JobState::Interrupted;
        known.form.detail = Some(detail);
        self.save(&known)
    }

    /// Notes what came of a group, durably.
    pub(super) fn note(&self, group: &Group) -> io::Result<()> {
        let mut known = locked(&self.known);
        let left = FAULTS_MAX.saturating_sub(known.form.refused);
        let told = group
            .faults
            .iter()
            .take(usize::try_from(left).unwrap_or(usize::MAX));
        let mut lines = Vec::new();
        for fault in told {
            let line = serde_json::to_vec(fault)?;
            let octets = known.fault_octets + (lines.len() + line.len()) as u64;
            if octets >= FAULT_OCTETS_MAX {
                break;
            }
            lines.extend(line);
            lines.push(b'\n');
        }
        if !lines.is_empty() {
            let path = self.folder.join(FAULTS);
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            // What a group has left that was not noted is told anew.
            file.set_len(known.fault_octets)?;
            (&file).write_all(&lines)?;
            file.sync_data()?;
            known.fault_octets += lines.len() as u64;
        }
        let refused = group.faults.len() as u64;
        known.form.rows += group.done + refused;
        known.form.done += group.done;
        known.form.unchecked += group.unchecked;
        known.form.refused += refused;
        self.save(&known)
    }

    fn end(&self, state: JobState, detail: Option<String>, now_ms: u64) -> io::Result<()> {
        let mut known = locked(&self.known);
        known.form.state = state;
        known.form.detail = detail;
        known.form.ended_ms = Some(now_ms);
        self.save(&known)?;
        for name in [BODY, HANDLES] {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn save(&self, known: &Known) -> io::Result<()> {
        let (path, new) = (self.folder.join(STATE), self.folder.join("job.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(known)?)?;
        file.sync_data()?;
        fs::rename(new, path)
    }

    //--- Handles

    /// Notes handles that were made for rows, durably, before anything is written under them.
    pub(super) fn note_handles(&self, made: &[(u64, String)]) -> io::Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for pair in made {
            serde_json::to_writer(&mut lines, pair)?;
            lines.push(b'\n');
        }
        let path = self.folder.join(HANDLES);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// The handles that were made for rows behind `done`.
    pub(super) fn handles(&self, done: u64) -> io::Result<HashMap<u64, String>> {
        let mut made = HashMap::new();
        let file = match File::open(self.folder.join(HANDLES)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(made),
            Err(error) => return Err(error),
        };
        // There is a line for each row, of which there may be millions; few are not done.
        for line in BufReader::new(file).split(b'\n') {
            // The last line may have been cut off: nothing was written under its handle.
            if let Ok((row, handle)) = serde_json::from_slice::<(u64, String)>(&line?)
                && row > done
            {
                made.insert(row, handle);
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use guantong_api::v2::Mode;

    use super::*;

    fn form(id: &str) -> JobAnswer {
        JobAnswer {
            id: id.to_owned(),
            state: JobState::Waiting,
            template: "88.118.5/META_a".to_owned(),
            mode: Mode::Create,
            dry_run: false,
            by: Some("300:88.118.5/clerk".to_owned()),
            started_ms: 1,
            ended_ms: None,
            octets: 4,
            rows: 0,
            done: 0,
            refused: 0,
            unchecked: 0,
            detail: None,
        }
    }

    fn add(jobs: &Jobs, at: u64) -> Arc<Job> {
        let begun = jobs.begin(at.to_be_bytes()).unwrap();
        fs::write(begun.body(), "body").unwrap();
        let form = form(&begun.id);
        jobs.add(begun, form, RowForm::Lines).unwrap()
    }

    fn fault(row: u64) -> JobFault {
        JobFault {
            row,
            handle: None,
            status: 422,
            detail: "wrong".to_owned(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn job_survives_the_node_as_interrupted_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().join("jobs"));
        let job = add(&jobs, 7);
        job.begin().unwrap();
        let made = [(1, "88.118.5/1".to_owned()), (3, "88.118.5/3".to_owned())];
        job.note_handles(&made).unwrap();
        let faults = vec![fault(2)];
        job.note(&Group {
            done: 1,
            unchecked: 1,
            faults,
        })
        .unwrap();
        assert_eq!(job.form().unchecked, 1);
        // Cut off between the faults of a group and the note of it.
        let noise = OpenOptions::new()
            .append(true)
            .open(job.folder.join(FAULTS));
        noise.unwrap().write_all(b"{\"row\":3").unwrap();

        let again = Jobs::open(folder.path().join("jobs"));
        let owner = Some("300:88.118.5/clerk");
        let job = again.find("0000000000000007", owner).unwrap();
        assert!(again.find("0000000000000007", None).is_none());
        assert_eq!(again.spooled.load(Ordering::Relaxed), 4);
        let form = job.form();
        assert_eq!(form.state, JobState::Interrupted);
        assert_eq!((form.rows, form.done, form.refused), (2, 1, 1));
        assert_eq!(
            job.handles(form.rows).unwrap(),
            [(3, "88.118.5/3".to_owned())].into()
        );
        job.resume().unwrap();
        job.note(&Group {
            faults: vec![fault(3)],
            ..Group::default()
        })
        .unwrap();
        let told = String::from_utf8(job.faults().unwrap()).unwrap();
        assert_eq!(told.lines().count(), 2, "{told}");
        again.end(&job, JobState::Done, None, 9);
        assert!(job.body().is_err());
        assert_eq!(again.spooled.load(Ordering::Relaxed), 0);
        assert!(job.resume().is_err() && again.cancel(&job, 10).is_err());
    }

    #[test]
    fn body_that_does_not_come_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        drop(jobs.begin([1; 8]).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // The node was killed while a body came.
        fs::create_dir(folder.path().join("00000000000000ff")).unwrap();
        fs::create_dir(folder.path().join("somebody-elses")).unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        assert!(jobs.of(None).is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn number_of_jobs_is_bounded_by_those_that_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        let all: Vec<_> = (0..JOBS_MAX as u64).map(|at| add(&jobs, at)).collect();
        assert!(matches!(jobs.begin([0xff; 8]), Err(Refused::Full)));
        assert!(jobs.forget(&all[5]).is_err());
        jobs.end(&all[5], JobState::Failed, Some("why".to_owned()), 2);
        add(&jobs, 1_000);
        assert!(!all[5].folder.exists() && all[6].folder.exists());
    }

    #[test]
    fn interrupted_job_that_is_cancelled_gives_its_room_back() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        let job = add(&jobs, 1);
        jobs.spooled.fetch_add(4, Ordering::Relaxed);
        job.begin().unwrap();
        jobs.cancel(&job, 2).unwrap();
        assert_eq!(jobs.spooled.load(Ordering::Relaxed), 4);
        job.interrupt("why".to_owned()).unwrap();
        jobs.cancel(&job, 3).unwrap();
        assert_eq!(job.form().state, JobState::Cancelled);
        assert_eq!(jobs.spooled.load(Ordering::Relaxed), 0);
        jobs.forget(&job).unwrap();
        assert_eq!(jobs.spooled.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn damaged_jobs_stop_no_start_and_no_other_job() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        let whole = add(&jobs, 1);
        let state = fs::read(whole.folder.join(STATE)).unwrap();
        for (at, bad) in [&b""[..], b"\xff\0", b"[]", b"{}", &state[..state.len() / 2]]
            .into_iter()
            .enumerate()
        {
            let other = add(&jobs, at as u64 + 2);
            fs::write(other.folder.join(STATE), bad).unwrap();
        }
        fs::write(whole.folder.join(HANDLES), b"\xff\n[2,\"a/b\"]\n[3").unwrap();
        let again = Jobs::open(folder.path().to_owned());
        assert_eq!(locked(&again.known).len(), 1);
        let job = again
            .find("0000000000000001", form("").by.as_deref())
            .unwrap();
        assert_eq!(job.handles(0).unwrap(), [(2, "a/b".to_owned())].into());
    }

    #[test]
    fn octets_of_faults_that_are_told_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        let job = add(&jobs, 1);
        for row in 1..=9 {
            let detail = "x".repeat(1024 * 1024);
            let faults = vec![JobFault {
                detail,
                ..fault(row)
            }];
            job.note(&Group {
                faults,
                ..Group::default()
            })
            .unwrap();
        }
        assert_eq!(job.form().refused, 9);
        let told = job.faults().unwrap();
        assert!(told.len() as u64 <= FAULT_OCTETS_MAX);
        assert_eq!(told.iter().filter(|octet| **octet == b'\n').count(), 7);
    }

    #[test]
    fn faults_that_are_told_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(folder.path().to_owned());
        let job = add(&jobs, 1);
        let faults = (0..FAULTS_MAX + 5).map(fault).collect();
        job.note(&Group {
            faults,
            ..Group::default()
        })
        .unwrap();
        job.note(&Group {
            faults: vec![fault(1)],
            ..Group::default()
        })
        .unwrap();
        assert_eq!(job.form().refused, FAULTS_MAX + 6);
        let told = job.faults().unwrap();
        let lines = told.iter().filter(|octet| **octet == b'\n').count();
        assert_eq!(lines as u64, FAULTS_MAX);
    }
}
