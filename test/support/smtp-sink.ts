import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { onTestFinished } from 'vitest';
import { pairOf } from './secure.ts';

/** A mail that the sink has accepted. */
export interface TakenMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  readonly parsed: Email;
}

/**
 * The sink accepts a mail, refuses its sender, recipient or text, stays silent, accepts it only after some milliseconds, or
 * closes the connection after the mail.
 */
export type SinkMode =
  | 'take'
  | { readonly mail: number; readonly says?: string }
  | { readonly rcpt: number; readonly says?: string }
  | { readonly data: number; readonly says?: string }
  | { readonly late: number }
  | 'hang'
  | 'drop'
  | 'drop untaken';

export interface SinkOptions {
  readonly startTls?: boolean;
  /** `user:password` of each client that may send mail. Default: every client may, without a login. */
  readonly logins?: ReadonlySet<string>;
}

/** A real mail server whose behaviour a test chooses. Stopped after the test. */
export async function startSink({ startTls = false, logins }: SinkOptions = {}) {
  const mails: TakenMail[] = [];
  /** The text between the angle brackets of each RCPT TO, byte for byte: the server normalises addresses. */
  const recipients: string[] = [];
  const state: { mode: SinkMode; tries: number; connections: number } = { mode: 'take', tries: 0, connections: 0 };
  /** What differs from `state.mode`, by the recipient's domain. */
  const modeOf = new Map<string, SinkMode>();
  const modeFor = (address = '') => modeOf.get(address.slice(address.lastIndexOf('@') + 1)) ?? state.mode;
  const hangUp = () => {
    for (const connection of server.connections)
      (connection as unknown as { _socket: { destroy(): void } })._socket.destroy();
  };
  const server = new SMTPServer({
    authOptional: !logins,
    allowInsecureAuth: true,
    onAuth({ username, password }, _, callback) {
      if (logins?.has(`${username}:${password}`)) callback(null, { user: username });
      else callback(refusal(535, 'no such login'));
    },
    disableReverseLookup: true,
    ...(startTls ? pairOf('server') : { disabledCommands: ['STARTTLS'] }),
    // Accepts local parts that RFC 5321 requires to be quoted.
    lenientAddressParsing: true,
    logger: loggerOf((line) => {
      const [, recipient] = /^RCPT TO:<(.*)>/s.exec(line) ?? [];
      if (recipient !== undefined) recipients.push(recipient);
    }),
    onConnect(_, callback) {
      state.connections++;
      callback();
    },
    onMailFrom(_, __, callback) {
      const { mode } = state;
      if (typeof mode === 'object' && 'mail' in mode) return callback(refusal(mode.mail, mode.says));
      callback();
    },
    onRcptTo({ address }, __, callback) {
      state.tries++;
      const mode = modeFor(address);
      if (mode === 'hang') return;
      if (typeof mode === 'object' && 'rcpt' in mode) return callback(refusal(mode.rcpt, mode.says));
      callback();
    },
    async onData(stream, session, callback) {
      const raw = Buffer.concat(await stream.toArray()).toString();
      const { mailFrom, rcptTo } = session.envelope;
      const mode = modeFor(rcptTo[0]?.address);
      if (typeof mode === 'object' && 'data' in mode) return callback(refusal(mode.data, mode.says));
      const parsed = await PostalMime.parse(raw);
      const from = mailFrom ? mailFrom.address : '';
      if (mode !== 'drop untaken') mails.push({ from, to: rcptTo.map(({ address }) => address), raw, parsed });
      if (mode === 'drop' || mode === 'drop untaken') return hangUp();
      if (typeof mode === 'object' && 'late' in mode) await sleep(mode.late);
      callback();
    },
  });
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  onTestFinished(() => {
    hangUp();
    server.close(() => {});
  });
  const env = { SMTP_URL: `smtp://127.0.0.1:${port}`, MAIL_FROM: 'Gatehouse <no-reply@gatehouse.test>' };
  return { mails, recipients, state, modeOf, port, env, hangUp };
}

function refusal(responseCode: number, says = 'no'): Error {
  return Object.assign(new Error(says), { responseCode });
}

/** A logger that passes on each command of the client, byte for byte. */
function loggerOf(receive: (command: string) => void) {
  const ignore = () => {};
  const debug = (_: object, from: string, line: unknown) => from === 'C:' && receive(`${line}`);
  return { level: ignore, trace: ignore, debug, info: ignore, warn: ignore, error: ignore, fatal: ignore };
}
