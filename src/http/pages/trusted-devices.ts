import type { TrustedDevice } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { type Html, html, joined } from './html.ts';
import { ownForm } from './own-form.ts';
import { ago } from './times.ts';
import type { Visit } from './visit.ts';

/** The box of the factor prompt with which a user trusts the browser. Undefined where no device is trusted. */
export function trustBox({ words, trustedDeviceDays }: Visit): Html | undefined {
  if (trustedDeviceDays === undefined) return undefined;
  const label = words.trustedDevices.trust(trustedDeviceDays);
  return html`<label class="option"><input type="checkbox" name="trust" value="yes"> ${label}</label>`;
}

export function isToBeTrusted({ values }: Visit): boolean {
  return values.get('trust') === 'yes';
}

/** The devices that a user trusts, each with a button that ends it. Undefined without any. */
export async function trustedDevicesPart(visit: Visit, { as, user }: SignedIn): Promise<Html | undefined> {
  if (user.isAnonymous) return undefined;
  const { trustedDevices } = await visit.mfa.listTrustedDevices({}, as);
  if (trustedDevices.length === 0) return undefined;
  const { title, text } = visit.words.trustedDevices;
  const items = await Promise.all(trustedDevices.map((each) => deviceItem(visit, each)));
  return html`<h2>${title}</h2>
<p class="hint">${text}</p>
<ul class="list">
${joined(items)}</ul>`;
}

async function deviceItem(visit: Visit, { id, deviceName, address, lastUseTime }: TrustedDevice): Promise<Html> {
  const { words, language, now } = visit;
  const { revoke } = words.trustedDevices;
  const name = deviceName || words.devices.unnamed;
  const used = lastUseTime && html` · ${words.devices.lastUsed} ${ago(lastUseTime, language, now)}`;
  const button = html`<button class="quiet" aria-label="${revoke}: ${name}">${revoke}</button>`;
  return html`<li>
<p><strong>${name}</strong><br>
<span class="hint">${address}${used}</span></p>
${await ownForm(visit, '/devices', { trusted_device_id: id }, button)}
</li>
`;
}
