import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { logConsole } from '../../src/telemetry/console.ts';

test('what a library prints of an error of the database has no value of its statement', () => {
  const before = { ...console };
  const listeners = { warning: process.listeners('warning'), fatal: process.listeners('uncaughtException') };
  onTestFinished(() => {
    Object.assign(console, before);
    process.removeAllListeners('warning').removeAllListeners('uncaughtException');
    for (const each of listeners.warning) process.on('warning', each);
    for (const each of listeners.fatal) process.on('uncaughtException', each);
  });
  const lines: string[] = [];
  logConsole(pino({}, { write: (line: string) => void lines.push(line) }), () => {});
  console.error('failed', Object.assign(new Error(`insert ... values ('ada@example.org')`), { code: '23505' }));
  console.log('plain %s', 'words');
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['a library printed', 'a library printed']);
  expect(lines[0]).toContain('23505');
  expect(lines[0]).not.toContain('ada@example.org');
  expect(lines[1]).toContain('plain words');
});
