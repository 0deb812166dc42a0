import { Code, ConnectError } from '@connectrpc/connect';
import type { RequestDeviceCodeResponse } from '../../../gen/gatehouse/v1/device_grant_pb.ts';
import { withBearer } from '../bearer.ts';
import type { Clients } from '../clients.ts';
import { reasonOf } from '../error-details.ts';
import { openBrowser } from './browser.ts';
import { CliError, exitCodes } from './cli-error.ts';
import { loginDevice } from './device-login.ts';
import { codeAsJson, countDown, emptyLine, promptFor, qrCodeOf } from './prompt.ts';
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
export async function accessTokenOf(options: CliOptions): Promise<string> {
  return (await credentialOf(options)).accessToken;
}

interface Credential {
  readonly accessToken: string;
  /** `GATEHOUSE_TOKEN`, or the path of the file. */
  readonly source: string;
}

const variable = 'GATEHOUSE_TOKEN';

async function credentialOf({ name, gatehouse, tokenFile = tokenFileOf(name) }: CliOptions): Promise<Credential> {
  const given = process.env[variable];
  if (given) return { accessToken: given, source: variable };
  return { accessToken: await new StoredSession(gatehouse, tokenFile).accessToken(), source: tokenFile };
}

/** For `login` and `logout`, which concern the file, while the other commands use the variable. */
function noticeOfVariable(): { readonly notice?: string } {
  if (!process.env[variable]) return {};
  return { notice: `${variable} is set. It stays in force: it is used instead of the tokens in the file.` };
}

/** Runs `login`, `whoami`, `token` or `logout`, and returns the exit code. Never rejects. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<number> {
  const isJson = args.includes('--json');
  try {
    const { text, ...json } = await commandOf(args)(options, args);
    process.stdout.write(`${isJson ? JSON.stringify(json) : text}\n`);
    if (!isJson && json.notice) process.stderr.write(`${json.notice}\n`);
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
        stop = announceOnTerminal(code, !args.includes('--no-browser'));
      },
    });
    await new StoredSession(gatehouse, tokenFile).begin(tokens!);
    const { id, email } = user!;
    const text = `Signed in as ${email}. The tokens are in ${tokenFile}.`;
    return { text, event: 'signed_in', user_id: id, email, file: tokenFile, ...noticeOfVariable() };
  } finally {
    stop();
    process.off('SIGINT', cancel);
  }
}

/** Displays all that the user needs before a browser is started. Returns how to stop. */
function announceOnTerminal(code: RequestDeviceCodeResponse, opensBrowser: boolean): () => void {
  const { isTTY, columns } = process.stderr;
  process.stderr.write(promptFor(code));
  if (!isTTY) return () => {};
  process.stderr.write(qrCodeOf(code, columns));
  const explain = () => process.stderr.write(`${emptyLine}No browser could be started. Open the link yourself.\n`);
  if (opensBrowser) openBrowser(code.verificationUriComplete, explain);
  return countDown(code);
}

async function whoami(options: CliOptions): Result {
  const { accessToken, source } = await credentialOf(options);
  const { user } = await options.gatehouse.auth.getMe({}, withBearer(accessToken)).catch((error) => {
    if (source !== variable || !isRefused(error)) throw error;
    throw new CliError('not_signed_in', `The token in ${variable} is not valid.`, { cause: error });
  });
  const { id, email, name } = user!;
  const text = source === variable ? `${email || id} (from ${variable})` : email || id;
  return { text, user_id: id, email, name, source };
}

async function token(options: CliOptions): Result {
  const { accessToken, source } = await credentialOf(options);
  return { text: accessToken, access_token: accessToken, source };
}

async function logout({ name, gatehouse, tokenFile = tokenFileOf(name) }: CliOptions): Result {
  const wasSignedIn = await new StoredSession(gatehouse, tokenFile).end();
  const text = wasSignedIn ? 'Signed out.' : 'You were not signed in.';
  return { text, was_signed_in: wasSignedIn, ...noticeOfVariable() };
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CliError(isRefused(error) ? 'not_signed_in' : 'failed', message, { cause: error });
}

function isRefused(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unauthenticated;
}
