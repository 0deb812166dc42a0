import { Refusal } from '../../errors.ts';
import type { Html } from './html.ts';
import type { Notice } from './notice.ts';
import { link, takeNext } from './own-form.ts';
import { readFailure } from './trouble.ts';
import { doneView, formView, mayPass, noticeView, type Page, tokenOf, troubleView, type Visit } from './visit.ts';
import type { Deed, Words } from './words.ts';

/** A page with one button, which does what the link was sent for. */
export function confirmation(
  wording: (words: Words) => Deed,
  confirm: (visit: Visit, token: string) => Promise<unknown>,
  { alreadyDone, leadsOn = false }: { alreadyDone?: (words: Words) => Notice; leadsOn?: boolean } = {},
): Page {
  return {
    async show(visit) {
      if (!tokenOf(visit)) throw new Refusal('TOKEN_REQUIRED');
      return formView(visit, wording(visit.words));
    },

    async act(visit) {
      try {
        await confirm(visit, tokenOf(visit));
        return doneView(wording(visit.words), leadsOn ? onward(visit) : undefined);
      } catch (thrown) {
        const failure = readFailure(thrown);
        if (alreadyDone && failure.metadata.state === 'verified')
          return noticeView(alreadyDone(visit.words), leadsOn ? onward(visit) : undefined);
        if (mayPass(failure)) return formView(visit, wording(visit.words), undefined, failure);
        return troubleView(visit.words, failure);
      }
    },
  };
}

/** To the page that needed the address. */
function onward(visit: Visit): Html | undefined {
  const next = takeNext(visit);
  return next === undefined ? undefined : link(next, visit.words.verification.onward);
}

export const verifyEmail = confirmation(
  (words) => words.verifyEmail,
  ({ auth }, token) => auth.verifyEmail({ token }),
  { alreadyDone: (words) => words.alreadyVerified, leadsOn: true },
);

export const rejectRegistration = confirmation(
  (words) => words.rejectRegistration,
  ({ auth }, token) => auth.rejectRegistration({ token }),
);

export const confirmEmailChange = confirmation(
  (words) => words.confirmEmailChange,
  ({ auth }, token) => auth.confirmEmailChange({ token }),
);
