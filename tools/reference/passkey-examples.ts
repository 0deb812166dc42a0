import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

const id = 'Zt5vQ8nLr2XwKc7bYp1MdGfHs3JaE6uTmJ2k9Q0vTzY';
const userHandle = 'AZrF0LlfdD6IMX6Uocs6dw';
const challenge = 'mJ2k9Q0vTzYb7wLx4cRfHsJaE6uTmJ2k9Q0vTzYb7wI';
const clientData = (type: string) =>
  Buffer.from(JSON.stringify({ type, challenge, origin: 'https://app.example.com', crossOrigin: false })).toString(
    'base64url',
  );
const outer = { id, rawId: id, type: 'public-key', clientExtensionResults: {}, authenticatorAttachment: 'platform' };

/** What `PublicKeyCredential.toJSON` returns after `navigator.credentials.create`. The long values are shortened. */
export const registeredCredential: JsonObject = {
  ...outer,
  response: {
    clientDataJSON: clientData('webauthn.create'),
    attestationObject: 'o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVg',
    transports: ['internal', 'hybrid'],
  },
};

/** The same after `navigator.credentials.get`. */
export const signingCredential: JsonObject = {
  ...outer,
  response: {
    clientDataJSON: clientData('webauthn.get'),
    authenticatorData: 'SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ',
    signature: 'MEUCIQDqk5bL8mXw2tYvKc7bYp1MdGfHs3JaE6uTmJ2k9Q0vTzY',
    userHandle,
  },
};

/** Example values of the fields about passkeys. */
export const valuesOfPasskeys = (ids: { readonly challenge: string; readonly factor: string }) =>
  ({
    'StartPasskeyRegistrationResponse.challenge_id': ids.challenge,
    'StartPasskeySignInResponse.challenge_id': ids.challenge,
    'StartPasskeyRegistrationResponse.expire_time': '2026-11-28T09:35:00Z',
    'StartPasskeySignInResponse.expire_time': '2026-11-28T09:35:00Z',
    'Passkey.id': ids.factor,
    'StartPasskeyRegistrationResponse.creation_options': {
      rp: { id: 'example.com', name: 'Example' },
      user: { id: userHandle, name: 'ada@example.org', displayName: 'Ada' },
      challenge,
      pubKeyCredParams: [
        { type: 'public-key', alg: -7 },
        { type: 'public-key', alg: -8 },
        { type: 'public-key', alg: -257 },
      ],
      timeout: 300_000,
      excludeCredentials: [],
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      attestation: 'none',
    },
    'StartPasskeySignInResponse.request_options': {
      rpId: 'example.com',
      challenge,
      timeout: 300_000,
      allowCredentials: [],
      userVerification: 'required',
    },
    'Passkey.friendly_name': 'My laptop',
    'Passkey.credential_id': id,
    'Passkey.backup_eligible': true,
    'Passkey.backed_up': true,
    'Passkey.transports': 'internal',
    'Passkey.aaguid': 'ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4',
    'AcceptedCredentials.rp_id': 'example.com',
    'AcceptedCredentials.user_id': userHandle,
    'AcceptedCredentials.all_accepted_credential_ids': id,
    'UnknownCredential.rp_id': 'example.com',
    'UnknownCredential.credential_id': id,
  }) satisfies Readonly<Record<string, JsonValue>>;
