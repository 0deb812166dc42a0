import { Code, ConnectError } from '@connectrpc/connect';
import { withBearer } from '../bearer.ts';
import type { Clients } from '../clients.ts';
import { reasonOf } from '../error-details.ts';
import { openBrowser } from './browser.ts';
import { CliError, exitCodes } from './cli-error.ts';
import { loginDevice } from './device-login.ts';
import { codeAsJson, countDown, promptFor } from './prompt.ts';
import { StoredSession } from './stored-session.ts';
import { tokenFileOf } from './token-file.ts';

export interface CliOptions {
  /** The name of the program: its directory below the user's configuration directory, and on the confirmation page. */
  readonly name: string;
  readonly gatehouse: Pick<Clients, 'auth' | 'sessions' | 'devices'>;
  /** The file of the tokens. Default: credentials.json in the program's directory. */
  readonly tokenFile?: string;
}

const usage = 'login [--json] [--no-browser] | whoami [--json] | token [--json] | logout [--json]';
const flags = ['--json', '--no-browser'];

/**
 * An access token of the signed-in user: GATEHOUSE_TOKEN, or that of the session in the file, refreshed when needed.
 * Throws a CliError if the user must sign in.
 */
export async function accessTokenOf({ name, gatehouse, tokenFile = tokenFileOf(name) }: CliOptions): Promise<string> {
  return process.env.GATEHOUSE_TOKEN || new StoredSession(gatehouse, tokenFile).accessToken();
}

/** Runs `login`, `whoami`, `token` or `logout`, and returns the exit code. Never rejects. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<number> {
  const isJson = args.includes('--json');
  try {
    const { text, ...json } = await commandOf(args)(options, args);
    process.stdout.write(`${isJson ? JSON.stringify(json) : text}\n`);
    return 0;
  } catch (error) {
    const { outcome, message } = asCliError(error);
    if (isJson) process.stdout.write(`${JSON.stringify({ error: outcome, reason: reasonOf(error), message })}\n`);
    else process.stderr.write(`${message}\n`);
    return exitCodes[outcome];
  }
}

/** What a command prints: the text, or the rest of it as JSON. */
type Result = Promise<{ readonly text: string } & Readonly<Record<string, unknown>>>;
type Run = (options: CliOptions, args: readonly string[]) => Result;

const commands: Readonly<Record<string, Run>> = { login, whoami, token, logout };

function commandOf([name = '', ...rest]: readonly string[]): Run {
  const known = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!known || !rest.every((each) => flags.includes(each))) throw new CliError('usage', `usage: ${usage}`);
  return known;
}

async function login({ name, gatehouse, tokenFile = tokenFileOf(name) }: CliOptions, args: readonly string[]): Result {
  const canceling = new AbortController();
  const cancel = () => canceling.abort();
  // Once: a second Ctrl-C ends the process.
  process.once('SIGINT', cancel);
  let stop = () => {};
  try {
    const { user, tokens } = await loginDevice(gatehouse, {
      clientName: name,
      signal: canceling.signal,
      announce(code) {
        if (args.includes('--json')) return void process.stdout.write(`${JSON.stringify(codeAsJson(code))}\n`);
        process.stderr.write(promptFor(code));
        if (process.stderr.isTTY && !args.includes('--no-browser')) openBrowser(code.verificationUriComplete);
        stop = countDown(code);
      },
    });
    await new StoredSession(gatehouse, tokenFile).begin(tokens!);
    return { text: `Signed in as ${user!.email}.`, event: 'signed_in', user_id: user!.id, email: user!.email };
  } finally {
    stop();
    process.off('SIGINT', cancel);
  }
}

async function whoami(options: CliOptions): Result {
  const { user } = await options.gatehouse.auth.getMe({}, withBearer(await accessTokenOf(options)));
  const { id, email, name } = user!;
  return { text: email || id, user_id: id, email, name };
}

async function token(options: CliOptions): Result {
  const accessToken = await accessTokenOf(options);
  return { text: accessToken, access_token: accessToken };
}

async function logout({ name, gatehouse, tokenFile = tokenFileOf(name) }: CliOptions): Result {
  const wasSignedIn = await new StoredSession(gatehouse, tokenFile).end();
  return { text: wasSignedIn ? 'Signed out.' : 'You were not signed in.', was_signed_in: wasSignedIn };
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const isRefused = error instanceof ConnectError && error.code === Code.Unauthenticated;
  return new CliError(isRefused ? 'not_signed_in' : 'failed', message, { cause: error });
}
