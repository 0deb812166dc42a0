/** The path of the script for passkeys and security keys. */
export const ceremonyPath = '/passkeys.js';

/**
 * The script for passkeys and security keys, a file of its own. A form with `data-ceremony` gets its field `credential` from the
 * authenticator: `get` signs, `create` registers. `data-options` has the options, and `data-expires` says until when they are
 * good. Later, new ones are fetched without a question to the user. A form may have a field named `action`, which hides the
 * property of that name.
 */
export const ceremony = `
const supported = typeof PublicKeyCredential === 'function' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
const isGood = ({ dataset }) => dataset.options && Date.now() < Number(dataset.expires) - 500;
let waiting;

async function renew(form, isAsked) {
  const start = new URLSearchParams(new FormData(form));
  start.set('start', '1');
  const { renew: address } = form.dataset;
  const response = await (address ? fetch(address) : fetch(form.getAttribute('action'), { method: 'POST', body: start }));
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = [...page.forms].find((each) => each.dataset.ceremony === form.dataset.ceremony);
  if (!fresh) {
    if (isAsked) form.submit();
    throw new Error('no such form');
  }
  Object.assign(form.dataset, { options: fresh.dataset.options, expires: fresh.dataset.expires });
  for (const { name, value, type } of fresh.elements) if (type === 'hidden') form.elements[name].value = value;
}

async function ask(form, more) {
  const options = JSON.parse(form.dataset.options);
  const credential =
    form.dataset.ceremony === 'create'
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...more });
  form.elements.credential.value = JSON.stringify(credential.toJSON());
}

const problem = (form, text) => {
  const box = document.createElement('div');
  box.className = 'alert';
  box.setAttribute('role', 'alert');
  box.textContent = text;
  document.querySelector('[data-problem]')?.remove();
  box.dataset.problem = '';
  form.before(box);
};

async function run(form) {
  waiting?.abort();
  try {
    if (!isGood(form)) await renew(form, true);
    await ask(form);
    form.submit();
  } catch (error) {
    problem(form, error.name === 'InvalidStateError' ? form.dataset.known : form.dataset.failed);
    autofill(form);
  }
}

async function autofill(form) {
  if (!('autofill' in form.dataset) || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  waiting?.abort();
  const own = (waiting = new AbortController());
  try {
    if (!isGood(form)) await renew(form);
    await ask(form, { mediation: 'conditional', signal: own.signal });
    // The computer may have slept while the list was open.
    if (!isGood(form)) return run(form);
    form.submit();
  } catch {}
}

for (const form of supported ? document.querySelectorAll('form[data-ceremony]') : []) {
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run(form);
  });
  if (!('autofill' in form.dataset)) continue;
  autofill(form);
  const refresh = () => !isGood(form) && !document.hidden && autofill(form);
  setInterval(refresh, 5000);
  document.addEventListener('visibilitychange', refresh);
}
for (const part of supported ? document.querySelectorAll('[data-passkeys]') : []) part.hidden = false;
for (const { dataset } of document.querySelectorAll('[data-accepted]'))
  globalThis.PublicKeyCredential?.signalAllAcceptedCredentials?.(JSON.parse(dataset.accepted)).catch(() => {});
for (const { dataset } of document.querySelectorAll('[data-unknown]'))
  globalThis.PublicKeyCredential?.signalUnknownCredential?.(JSON.parse(dataset.unknown)).catch(() => {});
`;
