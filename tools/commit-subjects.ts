import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/*
 * Refuses the subjects of commits that CONTRIBUTING.md ("Commits") does not admit. The rule is younger than the
 * repository: only commits after `base` are read. Merges have the subjects that git gives them.
 */
const base = '8aae637fb28408390c39342b86a8f429cb876942';

const longest = 72;
const endings = /(?:ed|ing|[^s]s)$/;
const imperatives = /^(?:Bring|Embed|Exceed|Feed|Focus|Need|Ping|Proceed|Seed|Shed|Speed|String)$/;
const noVerbs = /^(?:A|An|The|This|That|These|It|There|What|Who|When|Where|How|All|Both|No|Not|Now|Some|One|Two)$/;

/** Why the subject is refused; nothing when it is not. */
export function findFaults(subject: string): string[] {
  const first = subject.split(' ', 1)[0]!;
  const isVerb = !noVerbs.test(first) && (imperatives.test(first) || !endings.test(first));
  return [
    subject.length > longest && `${subject.length} characters, ${longest} at most`,
    !/^[A-Z]/.test(subject) && 'begins without a capital',
    /^[A-Z]/.test(subject) && !isVerb && `"${first}" is not an imperative`,
    /\.$/.test(subject) && 'ends with a period',
    /[;:]/.test(subject) && 'joins several changes by ; or :',
  ].filter((fault) => fault !== false);
}

/** The commits of this branch after the base. Undefined where the history is not there: in an archive, a shallow clone. */
function readSubjects(): { hash: string; subject: string }[] | undefined {
  // Without this, an unpacked archive would be taken for a part of whatever repository lies around it.
  if (!existsSync('.git')) return undefined;
  try {
    git('merge-base', '--is-ancestor', base, 'HEAD');
  } catch {
    return undefined;
  }
  const lines = git('log', '--no-merges', '--format=%h %s', `${base}..HEAD`).split('\n').filter(Boolean);
  return lines.map((line) => ({ hash: line.split(' ', 1)[0]!, subject: line.slice(line.indexOf(' ') + 1) }));
}

// The repository may belong to another user, in a container for one.
function git(...args: string[]): string {
  return execFileSync('git', ['-c', 'safe.directory=*', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

if (import.meta.main) {
  const commits = readSubjects();
  const found = commits?.flatMap(({ hash, subject }) => findFaults(subject).map((why) => `${hash} ${subject}: ${why}`));
  for (const line of found ?? []) console.error(line);
  if (found?.length) process.exitCode = 1;
  console.log(
    commits
      ? `${commits.length} commits since ${base.slice(0, 7)}`
      : `not checked: no history since ${base.slice(0, 7)}`,
  );
}
