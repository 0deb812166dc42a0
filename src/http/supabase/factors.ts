import { FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { ChallengeFactorResponse, VerifyFactorRequest } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { AuthError, invalid } from './auth-error.ts';
import { typeName } from './factor-json.ts';
import type { JsonBody } from './json-body.ts';
import { sessionAnswer } from './session-json.ts';

/** POST /factors. */
export async function enrollFactor(asked: Asked): Promise<Answer> {
  const { mfa, body } = asked;
  const bearer = withBearer(asked);
  const type = typeOf(body.text('factor_type'));
  const request = { type, friendlyName: body.text('friendly_name'), issuer: body.text('issuer') };
  const { factor, totp } = await mfa.enrollFactor(request, bearer);
  const { id, friendlyName } = factor!;
  return {
    body: {
      ...{ id, type: typeName(type), friendly_name: friendlyName },
      // The published client turns the image into a URL.
      ...(totp && { totp: { qr_code: totp.qrCode, secret: totp.secret, uri: totp.uri } }),
    },
  };
}

function typeOf(name: string): FactorType {
  if (name === 'totp') return FactorType.TOTP;
  if (name === 'webauthn') return FactorType.WEBAUTHN;
  if (name === 'phone') throw new AuthError(422, 'mfa_phone_enroll_not_enabled', 'MFA enroll is disabled for Phone');
  throw invalid('factor_type needs to be totp, phone, or webauthn');
}

/** POST /factors/{id}/challenge. */
export async function challengeFactor({ mfa, path, ...asked }: Asked): Promise<Answer> {
  const challenge = await mfa.challengeFactor({ factorId: path.id }, withBearer(asked));
  const { challengeId, type, expireTime } = challenge;
  const options = { id: challengeId, type: typeName(type), expires_at: Number(expireTime!.seconds) };
  return { body: { ...options, ...ceremonyOf(challenge) } };
}

function ceremonyOf({ creationOptions, requestOptions }: ChallengeFactorResponse) {
  const publicKey = creationOptions ?? requestOptions;
  if (!publicKey) return {};
  return { webauthn: { type: creationOptions ? 'create' : 'request', credential_options: { publicKey } } };
}

/** POST /factors/{id}/verify. */
export async function verifyFactor(asked: Asked): Promise<Answer> {
  const { mfa, path, body } = asked;
  const bearer = withBearer(asked);
  const request = { factorId: path.id, challengeId: body.text('challenge_id'), proof: proofOf(body) };
  const { tokens } = await mfa.verifyFactor(request, bearer);
  return sessionAnswer(asked, tokens!);
}

function proofOf(body: JsonBody): Exclude<VerifyFactorRequest['proof'], { case: undefined }> {
  const value = body.member('webauthn')?.object('credential_response');
  if (value) return { case: 'credential', value };
  const code = body.text('code');
  if (!code) throw invalid('Code needs to be non-empty');
  return { case: 'code', value: code };
}

/** DELETE /factors/{id}. */
export async function unenrollFactor({ mfa, path: { id }, ...asked }: Asked): Promise<Answer> {
  await mfa.unenrollFactor({ factorId: id }, withBearer(asked));
  return { body: { id } };
}
