/** An argument of a command, in the order of the command line. */
export interface Argument {
  readonly name: string;
  readonly does: string;
  /** Completes "name ..." when it is missing. */
  readonly asks: string;
  readonly optional?: true;
}

export interface Option {
  readonly does: string;
  readonly default: string;
  /** The name of its value. Undefined for an option without one. */
  readonly value?: string;
  /** The option has one value. Others can be repeated. */
  readonly isSingle?: true;
}

/** One command: everything that its help, docs/commands.md and the parser know of it. */
export interface Command {
  /** A line of the overview. */
  readonly summary: string;
  readonly does: string;
  readonly arguments?: readonly Argument[];
  readonly options?: Readonly<Record<string, Option>>;
  readonly example: string;
  /** Meanings of exit codes that differ from the usual ones. */
  readonly exits?: Readonly<Record<number, string>>;
}

const email: Argument = { name: 'EMAIL', does: 'the address of the user', asks: 'one user by their address' };

const project: Argument = {
  name: 'PROJECT',
  does: 'the slug or the id of the project',
  asks: 'one project by its slug',
};

const inProject: Option = {
  does: 'the project of the user, by its slug or id',
  default: 'default',
  value: 'PROJECT',
  isSingle: true,
};

const settingOption: Option = {
  does: 'a setting as in the configuration, such as PASSWORD_MIN_LENGTH=12; can be repeated',
  default: 'none',
  value: 'NAME=VALUE',
};

const keyOption: Option = {
  does: 'a service key to add, as in SERVICE_KEYS: NAME:SHA256 or NAME:SHA256:SCOPE+SCOPE; can be repeated',
  default: 'none',
  value: 'KEY',
};

const commandTable = {
  serve: {
    summary: 'runs the service (default)',
    does: 'Runs the service until SIGTERM or SIGINT. Migrates the database first. This is the default command.',
    example: 'serve',
    exits: { 0: 'stopped by a signal', 1: 'it could not start, or did not stop cleanly' },
  },
  migrate: {
    summary: 'migrates the database schema and exits',
    does: 'Migrates the schema of the database and exits. Replicas do the same when they start.',
    options: { create: { does: 'creates the database of DATABASE_URL first if it does not exist', default: 'off' } },
    example: 'migrate --create',
  },
  'keys list': {
    summary: 'lists the keys that sign access tokens',
    does: 'Prints id, state, algorithm and age of the keys that sign access tokens. This is the default of keys.',
    example: 'keys list',
  },
  'keys import': {
    summary: 'puts a key of another system on standby',
    does: 'Reads a private JWK, of RSA with 2048 to 4096 bits or on the curve P-256, puts it on standby and lists the keys. The next rotation has it sign access tokens. A set of keys with one private key is read too, such as that of a project of Supabase. The standby key that it replaces is retired.',
    arguments: [
      { name: 'FILE', does: 'the file with the key, or - for standard input', asks: 'the file with the key' },
    ],
    example: 'keys import signing-key.json',
  },
  'keys rotate': {
    summary: 'makes the standby key the active one',
    does: 'Makes the standby signing key active, creates the next standby key and lists the keys. Fails while the standby key is younger than five minutes: verifiers may not have read it yet.',
    options: { force: { does: 'rotates although verifiers may not know the standby key yet', default: 'off' } },
    example: 'keys rotate',
  },
  'keys revoke': {
    summary: 'refuses every token that a key has signed',
    does: 'Revokes a signing key and lists the keys. All replicas refuse its tokens within five seconds.',
    arguments: [{ name: 'KEY-ID', does: 'the id that keys list prints', asks: 'the key to revoke' }],
    example: 'keys revoke nL0d7zT4Zg3sVQeQ0b8H2k1cJYw5mXr9uAaEoPiFtSg',
  },
  'installation list': {
    summary: 'lists the keys and the issuer that every replica must have',
    does: 'Prints the recorded keys of MASTER_KEYS and PASSWORD_PEPPER, the number of users whose password hash needs each pepper, and the issuer of PUBLIC_URL. This is the default of installation.',
    example: 'installation list',
  },
  'installation drop': {
    summary: 'gives up a lost or unused key, or the issuer',
    does: 'Lets replicas start without a recorded key or with another PUBLIC_URL, and prints what is recorded. What only a dropped key can read is lost.',
    arguments: [
      { name: 'SETTING', does: 'MASTER_KEYS, PASSWORD_PEPPER or PUBLIC_URL', asks: 'what to drop' },
      { name: 'ID', does: 'the id of the key; PUBLIC_URL has none', asks: 'the id of the key', optional: true },
    ],
    example: 'installation drop PASSWORD_PEPPER old',
  },
  'installation restored': {
    summary: 'revokes sessions, API keys and links after a restore',
    does: 'Revokes every session and API key, and voids every mailed link and code. Run it after a backup was restored, before the service starts: what was revoked or used after the backup would be valid again.',
    example: 'installation restored',
  },
  'admin list': {
    summary: 'lists the operators',
    does: 'Prints id and address of the operators, who may call AdminService. This is the default of admin.',
    example: 'admin list',
  },
  'admin grant': {
    summary: 'makes a user an operator',
    does: 'Makes a user an operator and lists the operators. The user must have verified the address, because anybody can register it.',
    arguments: [email],
    options: { project: inProject, unverified: { does: 'accepts an address that is not verified', default: 'off' } },
    example: 'admin grant ada@example.org',
  },
  'admin revoke': {
    summary: 'takes the role of operator from a user',
    does: 'Takes the role of operator from a user and lists the operators.',
    arguments: [email],
    options: { project: inProject },
    example: 'admin revoke ada@example.org',
  },
  'audit verify': {
    summary: 'checks the audit trail',
    does: 'Checks the chain of seals of every project and prints its head. Names the first event or seal that was changed, removed or added.',
    options: {
      head: {
        does: 'a head that an earlier check printed, which the chain must contain: SEQUENCE:HASH, or PROJECT=SEQUENCE:HASH for another project than default; can be repeated',
        default: 'none',
        value: 'HEAD',
      },
    },
    example: 'audit verify --head 5120:b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184',
    exits: { 1: 'the trail is not valid, or could not be checked' },
  },
  'projects list': {
    summary: 'lists the projects',
    does: 'Prints slug, id and publishable key of the projects. This is the default of projects.',
    example: 'projects list',
  },
  'projects show': {
    summary: 'shows the settings and service keys of a project',
    does: 'Prints the settings that a project has of its own, and the names of its service keys.',
    arguments: [project],
    example: 'projects show engines',
  },
  'projects create': {
    summary: 'creates a project',
    does: 'Creates a project and shows it. The slug never changes.',
    arguments: [{ name: 'SLUG', does: 'a name for the project', asks: 'a slug for the project' }],
    options: { set: settingOption, key: keyOption },
    example: 'projects create engines --set SITE_URL=https://engines.example.org',
  },
  'projects keys': {
    summary: 'adds and removes service keys of a project',
    does: 'Changes the service keys of a project and shows it. Running replicas read the change within about a second.',
    arguments: [project],
    options: {
      key: keyOption,
      remove: { does: 'the name of a service key to remove; can be repeated', default: 'none', value: 'NAME' },
    },
    example: 'projects keys engines --remove backend',
  },
  'projects update': {
    summary: 'changes the settings of a project',
    does: 'Changes the settings of a project and shows it. Running replicas read the change within about a second.',
    arguments: [project],
    options: {
      set: settingOption,
      reset: { does: 'a setting to reset to its configured value; can be repeated', default: 'none', value: 'NAME' },
    },
    example: 'projects update engines --set SIGN_UP=off --reset SITE_URL',
  },
  import: {
    summary: 'creates users from a file, or from another system',
    does: 'Creates a user from each line of JSON, with the password hash of that line. With --from, reads the users of another system with their password hashes, identities and second factors. Existing users are skipped, so that the import can be run again. Refused lines, and what of other systems is left out, are listed in FILE.refused.jsonl, or in import.refused.jsonl for a stream or a database.',
    arguments: [
      {
        name: 'FILE',
        does: 'a file, or - for stdin: JSON lines; with --from a dump of pg_dump, or the export of Auth0. With --from, also the URL of a PostgreSQL database',
        asks: 'one file to import, or - for stdin',
      },
    ],
    options: {
      from: {
        does: 'the system that the file or database belongs to: supabase, kratos, better-auth or auth0',
        default: 'none, JSON lines',
        value: 'SYSTEM',
        isSingle: true,
      },
      secrets: {
        does: 'a file with BETTER_AUTH_SECRET, which encrypts second factors; or one of JSON lines with the password hashes and second factors that the support of Auth0 exports',
        default: 'none, these are left out',
        value: 'SECRETS',
        isSingle: true,
      },
      'dry-run': { does: 'changes nothing, and reports what would be imported', default: 'off' },
    },
    example: 'import --from supabase users.sql',
    exits: { 1: 'the file could not be read, or lines were refused' },
  },
  help: {
    summary: 'prints the help of a command',
    does: 'Prints the help of a command, or the overview with all settings.',
    arguments: [{ name: 'COMMAND', does: 'a command, in one or two words', asks: 'a command', optional: true }],
    example: 'help keys rotate',
  },
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof commandTable;

export const commands: Readonly<Record<CommandName, Command>> = commandTable;

export const commandNames = Object.keys(commands) as CommandName[];

/** The first words of the commands, in the order of the overview. */
export const commandGroups: readonly string[] = [...new Set(commandNames.map((name) => name.split(' ')[0]!))];

/** The commands that begin with a word. */
export function commandsOf(group: string): CommandName[] {
  return commandNames.filter((name) => name.split(' ')[0] === group);
}
