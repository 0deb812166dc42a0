import type { JsonObject } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { passkeyJson } from './factor-json.ts';
import type { JsonBody } from './json-body.ts';
import { sessionAnswer } from './session-json.ts';

/** POST /passkeys/registration/options. */
export async function startRegistration({ mfa, ...asked }: Asked): Promise<Answer> {
  const started = await mfa.startPasskeyRegistration({}, withBearer(asked));
  return { body: ceremonyJson(started, started.creationOptions!) };
}

/** POST /passkeys/registration/verify. */
export async function finishRegistration({ mfa, body, ...asked }: Asked): Promise<Answer> {
  const { passkey } = await mfa.finishPasskeyRegistration(responseOf(body), withBearer(asked));
  return { body: passkeyJson(passkey!) };
}

/** POST /passkeys/authentication/options. */
export async function startSignIn({ mfa }: Asked): Promise<Answer> {
  const started = await mfa.startPasskeySignIn({});
  return { body: ceremonyJson(started, started.requestOptions!) };
}

/** POST /passkeys/authentication/verify. */
export async function finishSignIn(asked: Asked): Promise<Answer> {
  const { challengeId, ...response } = responseOf(asked.body);
  const { tokens } = await asked.mfa.finishPasskeySignIn({ ...response, ...(challengeId && { challengeId }) });
  return sessionAnswer(asked, tokens!);
}

interface Ceremony {
  readonly challengeId: string;
  readonly expireTime?: Timestamp;
}

function ceremonyJson({ challengeId, expireTime }: Ceremony, options: JsonObject) {
  return { challenge_id: challengeId, options, expires_at: Number(expireTime!.seconds) };
}

function responseOf(body: JsonBody) {
  const credential = body.object('credential');
  return { challengeId: body.text('challenge_id'), ...(credential && { credential }) };
}

/** GET /passkeys. */
export async function listPasskeys({ mfa, ...asked }: Asked): Promise<Answer> {
  const { passkeys } = await mfa.listPasskeys({}, withBearer(asked));
  return { body: passkeys.map(passkeyJson) };
}

/** PATCH /passkeys/{id}. */
export async function renamePasskey({ mfa, path, body, ...asked }: Asked): Promise<Answer> {
  const request = { passkeyId: path.id, friendlyName: body.text('friendly_name') };
  const { passkey } = await mfa.renamePasskey(request, withBearer(asked));
  return { body: passkeyJson(passkey!) };
}

/** DELETE /passkeys/{id}. */
export async function deletePasskey({ mfa, path, ...asked }: Asked): Promise<Answer> {
  await mfa.deletePasskey({ passkeyId: path.id }, withBearer(asked));
  return {};
}
