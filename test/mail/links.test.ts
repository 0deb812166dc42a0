import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start } from '../support/start.ts';

/** How mail programs find a link in a text. */
const linkifiers: readonly RegExp[] = [
  /https?:\/\/\S+/g,
  // Trailing punctuation is not part of a link.
  /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}*_~-]/g,
  /\bhttps?:\/\/[\w\-.:]+(?:\/[\w\-./?%&=+#@~]*[\w/=])?/g,
  /(?:^|\s)(?:https?:\/\/[^\s"<>()[\]{}]*[A-Za-z0-9/])/gm,
  /https?:\/\/(?:[A-Za-z0-9$\-_.+!*'(),;:@&=/?#]|%[0-9a-fA-F]{2})+/g,
];

/** The text part as it went over the wire. */
function rawTextOf(raw: string): { readonly headers: string; readonly body: string } {
  const part = raw.split(/^--.+\r?$/m).find((each) => /content-type: text\/plain/i.test(each))!;
  const [headers = '', ...body] = part.trimStart().split(/\r\n\r\n/);
  return { headers, body: body.join('\r\n\r\n') };
}

test('each link arrives unbroken, on a line of its own, and as the same URL in the text and in the HTML', async () => {
  const sink = await startSink();
  // As long as the setting may be.
  const frontend = `https://app.example.com/${'x'.repeat(100)}`;
  const settings: Record<string, string>[] = [{}, { FRONTEND_URL: frontend }];
  for (const env of settings) {
    const service = await start({ env: { ...sink.env, ...env, MAIL_LOCALE: 'de' } });
    const { auth } = service.clients('json');
    const taken = sink.mails.length;
    await auth.register(ada);
    await auth.requestPasswordReset({ email: ada.email });
    await auth.requestMagicLink({ email: ada.email });
    await expect.poll(() => sink.mails.length, { timeout: 8000 }).toBe(taken + 3);
    for (const { raw, parsed } of sink.mails.slice(taken)) {
      const [, url] = /<a href="([^"]+)"/.exec(parsed.html!)!;
      const { headers, body } = rawTextOf(raw);
      const isEncoded = /content-transfer-encoding: base64/i.test(headers);
      expect(isEncoded || body.split('\r\n').includes(url!), `${headers}\n${body}`).toBe(true);
      expect(parsed.text!.split('\n')).toContain(url);
      expect(raw.split('\r\n').every((line) => line.length <= 998)).toBe(true);
      expect(url!.length).toBeLessThan(300);
      expect(url).toMatch(/[A-Za-z0-9]$/);
      for (const linkifier of linkifiers)
        expect(
          parsed.text!.match(linkifier)!.map((each) => each.trim()),
          `${linkifier}`,
        ).toContain(url);
    }
  }
});
