import { type ApiKey, ApiKeyState } from '../../../gen/gatehouse/v1/api_key_pb.ts';
import { type Session, SignOutScope } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { describeForm, link, ownForm, redirect, requireOwnForm, shownUser, wayTo } from './own-form.ts';
import { passkeyOffer } from './passkeys.ts';
import { ago } from './times.ts';
import { type Failure, readFailure } from './trouble.ts';
import { trustedDevicesPart } from './trusted-devices.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page of a user's sessions and API keys, on which each of them can be revoked. */
export const devicesPage: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    return wayTo('/devices', signedIn) ?? devicesView(visit, signedIn!);
  },

  async act(visit) {
    const signedIn = await visit.browser.signedIn();
    if (!signedIn) return wayTo('/devices', signedIn)!;
    try {
      await requireOwnForm(visit);
      await perform(visit, signedIn);
      return redirect('/devices');
    } catch (thrown) {
      return devicesView(visit, signedIn, readFailure(thrown));
    }
  },
};

function perform({ sessions, devices, mfa, values }: Visit, { as }: SignedIn): Promise<unknown> {
  const sessionId = values.get('session_id');
  const apiKeyId = values.get('api_key_id');
  const trustedDeviceId = values.get('trusted_device_id');
  if (sessionId !== null) return sessions.revokeSession({ sessionId }, as);
  if (apiKeyId !== null) return devices.revokeApiKey({ apiKeyId }, as);
  if (trustedDeviceId !== null) return mfa.revokeTrustedDevice({ trustedDeviceId }, as);
  return sessions.signOut({ scope: SignOutScope.OTHERS }, as);
}

async function devicesView(visit: Visit, signedIn: SignedIn, failure?: Failure): Promise<View> {
  const { words } = visit;
  const { title, signedInAs, others, signOut, factors } = words.devices;
  const sessions = await all(async (page) => {
    const { sessions: items, nextPageToken } = await visit.sessions.listSessions(page, signedIn.as);
    return { items, nextPageToken };
  });
  const items = await Promise.all(sessions.map((each) => sessionItem(visit, each)));
  const offer = await passkeyOffer(visit, signedIn);
  const hasOthers = sessions.some(({ current }) => !current);
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeForm(visit, failure))}
${offer}
<p>${signedInAs(shownUser(visit, signedIn))}</p>
<ul class="list">
${joined(items)}</ul>
${hasOthers ? await ownForm(visit, '/devices', {}, html`<button>${others}</button>`) : undefined}
${await trustedDevicesPart(visit, signedIn)}
${await keyList(visit, signedIn)}
${signedIn.user.isAnonymous ? undefined : link('/factors', factors)}
${link('/sign-out', signOut)}`,
    hasCeremony: offer !== undefined,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

interface Listed<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
}

/** All pages of a list. */
async function all<Item>(
  read: (page: { pageSize: number; pageToken: string }) => Promise<Listed<Item>>,
): Promise<Item[]> {
  const found: Item[] = [];
  let pageToken = '';
  do {
    const { items, nextPageToken } = await read({ pageSize: 100, pageToken });
    found.push(...items);
    pageToken = nextPageToken;
  } while (pageToken !== '');
  return found;
}

async function sessionItem(visit: Visit, session: Session): Promise<Html> {
  const { kinds, current, revoke, lastActive, unnamed } = visit.words.devices;
  const { id, clientName, deviceName, userAgent, address, lastActiveTime, current: isCurrent, kind } = session;
  const name = clientName || deviceName || userAgent || unnamed;
  const button = html`<button class="quiet" aria-label="${revoke}: ${name}">${revoke}</button>`;
  return html`<li>
<p><strong>${name}</strong>${isCurrent ? html` <span class="tag">${current}</span>` : undefined}<br>
<span class="hint">${kinds[kind]} · ${address}${lastActiveTime && html` · ${lastActive} ${ago(lastActiveTime, visit.language, visit.now)}`}</span></p>
${isCurrent ? undefined : await ownForm(visit, '/devices', { session_id: id }, button)}
</li>
`;
}

/** Undefined without active keys. */
async function keyList(visit: Visit, { as, user }: SignedIn): Promise<Html | undefined> {
  if (user.isAnonymous) return undefined;
  const apiKeys = await all(async (page) => {
    const { apiKeys: items, nextPageToken } = await visit.devices.listApiKeys(page, as);
    return { items, nextPageToken };
  });
  const active = apiKeys.filter(({ state }) => state === ApiKeyState.ACTIVE);
  if (active.length === 0) return undefined;
  const items = await Promise.all(active.map((each) => keyItem(visit, each)));
  return html`<h2>${visit.words.devices.keys}</h2>
<ul class="list">
${joined(items)}</ul>`;
}

async function keyItem(visit: Visit, { id, name, prefix, lastUsedTime }: ApiKey): Promise<Html> {
  const { revokeKey, lastUsed, neverUsed } = visit.words.devices;
  const used = lastUsedTime ? html`${lastUsed} ${ago(lastUsedTime, visit.language, visit.now)}` : html`${neverUsed}`;
  const button = html`<button class="quiet" aria-label="${revokeKey}: ${name}">${revokeKey}</button>`;
  return html`<li>
<p><strong>${name}</strong><br>
<span class="hint">${prefix}… · ${used}</span></p>
${await ownForm(visit, '/devices', { api_key_id: id }, button)}
</li>
`;
}
