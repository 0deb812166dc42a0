import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { onTestFinished } from 'vitest';
import { pairOf } from './secure.ts';

/** A mail that the sink has taken. */
export interface TakenMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  readonly parsed: Email;
}

/** What the sink does with a mail: takes it, refuses its recipient or text, keeps silent, or takes it and hangs up. */
export type SinkMode =
  | 'take'
  | { readonly rcpt: number }
  | { readonly data: number }
  | 'hang'
  | 'drop'
  | 'drop untaken';

/** A real mail server that a test can have behave in any way. Ends with the test. */
export async function startSink({ startTls = false } = {}) {
  const mails: TakenMail[] = [];
  /** What stood between the angle brackets of each RCPT TO, byte for byte: the server spells addresses anew. */
  const recipients: string[] = [];
  const state: { mode: SinkMode; tries: number } = { mode: 'take', tries: 0 };
  const hangUp = () => {
    for (const connection of server.connections)
      (connection as unknown as { _socket: { destroy(): void } })._socket.destroy();
  };
  const server = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    ...(startTls ? pairOf('server') : { disabledCommands: ['STARTTLS'] }),
    // Local parts that RFC 5321 would have quoted are none of its business.
    lenientAddressParsing: true,
    logger: loggerOf((line) => {
      const [, recipient] = /^RCPT TO:<(.*)>/s.exec(line) ?? [];
      if (recipient !== undefined) recipients.push(recipient);
    }),
    onRcptTo(_, __, callback) {
      state.tries++;
      const { mode } = state;
      if (mode === 'hang') return;
      if (typeof mode === 'object' && 'rcpt' in mode) return callback(refusal(mode.rcpt));
      callback();
    },
    async onData(stream, session, callback) {
      const raw = Buffer.concat(await stream.toArray()).toString();
      const { mode } = state;
      if (typeof mode === 'object' && 'data' in mode) return callback(refusal(mode.data));
      const { mailFrom, rcptTo } = session.envelope;
      const parsed = await PostalMime.parse(raw);
      const from = mailFrom ? mailFrom.address : '';
      if (mode !== 'drop untaken') mails.push({ from, to: rcptTo.map(({ address }) => address), raw, parsed });
      if (mode === 'take') return callback();
      hangUp();
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
  return { mails, recipients, state, port, env, hangUp };
}

function refusal(responseCode: number): Error {
  return Object.assign(new Error('no'), { responseCode });
}

/** Hears of each command as it came. */
function loggerOf(hear: (command: string) => void) {
  const ignore = () => {};
  const debug = (_: object, from: string, line: unknown) => from === 'C:' && hear(`${line}`);
  return { level: ignore, trace: ignore, debug, info: ignore, warn: ignore, error: ignore, fatal: ignore };
}
