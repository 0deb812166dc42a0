import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigFaults, type Fault } from './config-faults.ts';

/** The configured keys; an empty list is filled from a file in dataDir. */
interface Given {
  readonly dataDir: string;
  readonly masterKeys: readonly unknown[];
  readonly serviceKeys: readonly unknown[];
}

interface Kind {
  readonly variable: 'MASTER_KEYS' | 'SERVICE_KEYS';
  readonly file: string;
  readonly generate: () => string;
  readonly shape: RegExp;
  /** Converts the file's content to the variable's value. */
  readonly toSetting: (text: string) => string;
  readonly inProduction: string;
}

const masterKey: Kind = {
  variable: 'MASTER_KEYS',
  file: 'master-key',
  generate: () => `development:${randomBytes(32).toString('base64')}`,
  shape: /^development:[A-Za-z0-9+/]{43}=$/,
  toSetting: (text) => text,
  inProduction: 'Production refuses to start without MASTER_KEYS.',
};

// The raw key, so that `$(cat .data/service-key)` can call the service.
const serviceKey: Kind = {
  variable: 'SERVICE_KEYS',
  file: 'service-key',
  generate: () => `ghs_${randomBytes(32).toString('base64url')}`,
  shape: /^ghs_[A-Za-z0-9_-]{43}$/,
  toSetting: (text) => `development:${createHash('sha256').update(text).digest('hex')}`,
  inProduction: 'Production knows only the keys of SERVICE_KEYS.',
};

interface DevelopmentSecrets {
  /** Values for the variables that were not set. */
  readonly secrets: { readonly [Variable in Kind['variable']]?: string };
  readonly notices: readonly string[];
}

/**
 * Reads the secrets that were not configured from files in the data directory that only their owner can read. A missing
 * file is generated, only once even when two processes start together. Throws ConfigFaults when a file cannot be trusted or
 * created.
 */
export function readDevelopmentSecrets({ dataDir, masterKeys, serviceKeys }: Given): DevelopmentSecrets {
  const missing = [...(masterKeys.length > 0 ? [] : [masterKey]), ...(serviceKeys.length > 0 ? [] : [serviceKey])];
  const kept = missing.map((kind) => ({ kind, ...keep(kind, join(dataDir, kind.file)) }));
  const faults = kept.flatMap(({ fault }) => fault ?? []);
  if (faults.length > 0) throw new ConfigFaults(faults);
  return {
    secrets: Object.fromEntries(kept.map(({ kind, text }) => [kind.variable, kind.toSetting(text)])),
    notices: kept.map(({ notice }) => notice),
  };
}

interface Kept {
  readonly text: string;
  readonly notice: string;
  readonly fault?: Fault;
}

function keep(kind: Kind, path: string): Kept {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const created = createOnce(path, `${kind.generate()}\n`);
    const { mode, text, isRepaired } = readOnce(path);
    if (mode & 0o077) return refuse(kind, `${path} has mode ${mode.toString(8)}`, 'mode 600', `chmod 600 ${path}`);
    if (!kind.shape.test(text))
      return refuse(kind, `${path} does not contain a generated secret`, 'the file as it was generated');
    const repair = isRepaired ? ', whose mode is 600 again' : '';
    return { text, notice: created ? announce(kind, path) : `${kind.variable} is not set: using ${path}${repair}` };
  } catch (thrown) {
    return refuse(kind, `${path} cannot be used (${(thrown as NodeJS.ErrnoException).code})`, 'a writable DATA_DIR');
  }
}

/** Returns whether this call created the file. Race: it appears complete or not at all, and replaces no other. */
function createOnce(path: string, text: string): boolean {
  if (existsSync(path)) return false;
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
    linkSync(draft, path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  } finally {
    closeSync(file);
    rmSync(draft);
  }
}

/** Race: mode and text are of the same file, even if the path is replaced meanwhile. */
function readOnce(path: string): { mode: number; text: string; isRepaired: boolean } {
  const file = openSync(path, 'r');
  try {
    const isRepaired = isOpenedByVolume(fstatSync(file));
    if (isRepaired) fchmodSync(file, 0o600);
    return { mode: fstatSync(file).mode & 0o777, text: readFileSync(file, 'utf8').trim(), isRepaired };
  } finally {
    closeSync(file);
  }
}

/** The fsGroup of Kubernetes gives every file of a volume to the group of the pod and makes it writable for the group. */
function isOpenedByVolume({ mode, uid }: Stats): boolean {
  return (mode & 0o777) === 0o660 && uid === process.getuid?.();
}

function refuse({ variable }: Kind, why: string, allowed: string, example = `${variable}_FILE=/run/secrets/x`): Kept {
  return { text: '', notice: '', fault: { variable, found: `nothing, and ${why}`, allowed, example } };
}

function announce({ inProduction }: Kind, path: string): string {
  return `GENERATED ${path}: a secret for development, readable by you alone. ${inProduction}`;
}
