import { FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { FactorWords } from './factor-words.ts';

const quoted = (name: string) => (name === '' ? '' : ` „${name}“`);

export const factorGerman: FactorWords = {
  factor: {
    title: 'Bestätigen Sie, dass Sie es sind',
    signingIn: (email) => `Sie melden sich als ${email} an.`,
    confirming: 'Das soll geschehen:',
    ask: {
      [FactorType.UNSPECIFIED]: () => '',
      [FactorType.TOTP]: (name) => `Geben Sie den Code ein, den Ihre Authenticator-App${quoted(name)} zeigt.`,
      [FactorType.WEBAUTHN]: (name) => `Verwenden Sie Ihren Sicherheitsschlüssel${quoted(name)}.`,
      [FactorType.RECOVERY_CODE]: () => 'Geben Sie einen Ihrer Ersatzcodes ein. Er gilt einmal.',
      [FactorType.PASSKEY]: (name) => `Verwenden Sie Ihren Passkey${quoted(name)}.`,
    },
    askPassword: 'Geben Sie Ihr Passwort ein.',
    code: 'Code',
    recoveryCode: 'Ersatzcode',
    password: 'Passwort',
    button: 'Weiter',
    otherWays: 'Andere Möglichkeiten',
    choose: {
      [FactorType.UNSPECIFIED]: () => '',
      [FactorType.TOTP]: (name) => `Authenticator-App${quoted(name)} verwenden`,
      [FactorType.WEBAUTHN]: (name) => `Sicherheitsschlüssel${quoted(name)} verwenden`,
      [FactorType.RECOVERY_CODE]: () => 'Ersatzcode verwenden',
      [FactorType.PASSKEY]: (name) => `Passkey${quoted(name)} verwenden`,
    },
    cancel: 'Abbrechen',
    outdated: {
      title: 'Es wurde nichts geändert',
      text: 'Das wurde schon erledigt, ist abgelaufen oder gehört zu einer anderen Anmeldung.',
    },
    onward: 'Weiter',
    deeds: {
      approve: (device) => `Ein Gerät als Sie anmelden: ${device}`,
      enroll: (name) => `Die Authenticator-App „${name}“ hinzufügen`,
      remove: (name) => `Den Faktor „${name}“ entfernen`,
      codes: 'Neue Ersatzcodes anlegen. Frühere gelten dann nicht mehr.',
    },
    refused: {
      MFA_VERIFICATION_FAILED: 'Dieser Code ist nicht richtig oder wurde schon verwendet. Geben Sie einen neuen ein.',
      MFA_CHALLENGE_EXPIRED: 'Das hat zu lange gedauert. Bitte versuchen Sie es noch einmal.',
      FACTOR_NOT_FOUND: 'Diesen Faktor haben Sie nicht mehr. Wählen Sie eine andere Möglichkeit.',
      INVALID_ARGUMENT: 'Geben Sie den Code ein.',
      INVALID_CREDENTIALS: 'Das Passwort ist nicht richtig.',
      USE_OAUTH_PROVIDER:
        'Dieses Konto hat kein Passwort. Wählen Sie „Anderes Konto verwenden“ und melden Sie sich neu an.',
    },
  },
  factors: {
    title: 'Zweite Faktoren',
    text: 'Ein zweiter Faktor schützt Ihr Konto auch dann, wenn jemand Ihr Passwort kennt.',
    empty: 'Sie haben keinen zweiten Faktor.',
    kinds: {
      [FactorType.UNSPECIFIED]: '',
      [FactorType.TOTP]: 'Authenticator-App',
      [FactorType.WEBAUTHN]: 'Sicherheitsschlüssel',
      [FactorType.RECOVERY_CODE]: 'Ersatzcodes',
      [FactorType.PASSKEY]: 'Passkey',
    },
    lastUsed: 'zuletzt verwendet',
    neverUsed: 'nie verwendet',
    remove: 'Entfernen',
    add: 'Authenticator-App hinzufügen',
    addText: 'Die App zeigt einen Code, der alle 30 Sekunden wechselt. Andere Browser werden abgemeldet.',
    name: 'Name',
    usualName: 'Authenticator-App',
    addButton: 'Hinzufügen',
    codes: 'Ersatzcodes',
    codesText: 'Wenn Sie Ihren zweiten Faktor verlieren, können Sie stattdessen einen Ersatzcode verwenden.',
    codesLeft: (count) =>
      count === 0 ? 'Es ist kein Code mehr übrig.' : `${count === 1 ? 'Ein Code ist' : `${count} Codes sind`} übrig.`,
    codesCreate: 'Ersatzcodes anlegen',
    codesReplace: 'Ersatzcodes erneuern',
    codesWarning: 'Die Codes, die Sie jetzt haben, gelten nicht mehr, sobald Sie neue anlegen.',
    codesCreated:
      'Die Codes wurden schon angelegt und werden nur einmal gezeigt. Wenn Sie sie nicht aufbewahrt haben, erneuern Sie sie.',
    devices: 'Ihre Geräte',
    enrolment: {
      title: 'Authenticator-App hinzufügen',
      scan: 'Scannen Sie dieses Bild mit der App.',
      qrCode: 'QR-Code für die Authenticator-App',
      manual: 'Oder geben Sie diesen Schlüssel in der App ein:',
      code: 'Code, den die App zeigt',
      button: 'Hinzufügen',
      cancel: 'Abbrechen',
    },
    newCodes: {
      title: 'Ihre Ersatzcodes',
      text: 'Bewahren Sie sie dort auf, wo Sie sie ohne dieses Gerät finden. Sie werden nur jetzt gezeigt. Jeder gilt einmal, und frühere Codes gelten nicht mehr.',
      copy: 'Kopieren',
      copied: 'Kopiert',
      print: 'Drucken',
      save: 'Als Datei speichern',
      file: (site) => `Ersatzcodes für ${site}. Jeder gilt einmal.`,
      onward: 'Ich habe sie aufbewahrt',
    },
    refused: {
      FACTOR_NAME_CONFLICT: 'Sie haben schon einen Faktor mit diesem Namen. Wählen Sie einen anderen.',
      FACTOR_LIMIT_REACHED: 'Sie haben so viele Faktoren wie möglich. Entfernen Sie zuerst einen.',
      FACTOR_NOT_FOUND: 'Dieser Faktor wurde schon entfernt.',
      EMAIL_NOT_VERIFIED: 'Bestätigen Sie zuerst Ihre E-Mail-Adresse.',
      NO_FACTOR_ENROLLED: 'Fügen Sie zuerst einen zweiten Faktor hinzu.',
    },
  },
  resetWithFactor: {
    text: 'Ihr Konto hat einen zweiten Faktor. Bestätigen Sie ihn, und wählen Sie dann das neue Passwort.',
    button: 'Weiter',
  },
  newPassword: {
    text: 'Sie werden auf allen anderen Geräten abgemeldet.',
    done: 'Sie sind angemeldet und wurden auf allen anderen Geräten abgemeldet.',
  },
};
