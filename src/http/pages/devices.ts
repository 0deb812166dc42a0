import { type Session, SignOutScope } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { describeForm, link, onTheWay, ownForm, redirect, requireOwnForm } from './own-form.ts';
import { ago } from './times.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page of a user's sessions, on which each of them can be signed out. */
export const devicesPage: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    return signedIn ? devicesView(visit, signedIn) : redirect(onTheWay('/sign-in', '/devices'));
  },

  async act(visit) {
    const signedIn = await visit.browser.signedIn();
    if (!signedIn) return redirect(onTheWay('/sign-in', '/devices'));
    try {
      await requireOwnForm(visit);
      await perform(visit, signedIn);
      return redirect('/devices');
    } catch (thrown) {
      return devicesView(visit, signedIn, readFailure(thrown));
    }
  },
};

function perform({ sessions, values }: Visit, { as }: SignedIn): Promise<unknown> {
  const id = values.get('session_id');
  return id === null
    ? sessions.signOut({ scope: SignOutScope.OTHERS }, as)
    : sessions.revokeSession({ sessionId: id }, as);
}

async function devicesView(visit: Visit, signedIn: SignedIn, failure?: Failure): Promise<View> {
  const { words } = visit;
  const { title, signedInAs, others, signOut } = words.devices;
  const { sessions } = await visit.sessions.listSessions({ pageSize: 100 }, signedIn.as);
  const items = await Promise.all(sessions.map((each) => sessionItem(visit, each)));
  const hasOthers = sessions.some(({ current }) => !current);
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeForm(visit, failure))}
<p>${signedInAs(signedIn.user.email)}</p>
<ul class="list">
${joined(items)}</ul>
${hasOthers ? await ownForm(visit, '/devices', {}, html`<button>${others}</button>`) : undefined}
${link('/sign-out', signOut)}`,
    isError: failure !== undefined,
  };
}

async function sessionItem(visit: Visit, session: Session): Promise<Html> {
  const { kinds, current, revoke, lastActive, unnamed } = visit.words.devices;
  const { id, deviceName, userAgent, address, lastActiveTime, current: isCurrent, kind } = session;
  const name = deviceName || userAgent || unnamed;
  const button = html`<button class="quiet" aria-label="${revoke}: ${name}">${revoke}</button>`;
  return html`<li>
<p><strong>${name}</strong>${isCurrent ? html` <span class="tag">${current}</span>` : undefined}<br>
<span class="hint">${kinds[kind]} · ${address}${lastActiveTime && html` · ${lastActive} ${ago(lastActiveTime, visit.language, visit.now)}`}</span></p>
${isCurrent ? undefined : await ownForm(visit, '/devices', { session_id: id }, button)}
</li>
`;
}
