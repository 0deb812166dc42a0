/**
 * The script of the pages: a button beside each password that shows it, and buttons that copy and print recovery codes. Without
 * scripts nothing else is missing.
 */
export const script = `
for (const input of document.querySelectorAll('input[data-show]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'show';
  button.textContent = input.dataset.show;
  button.setAttribute('aria-controls', input.id);
  const show = (isShown) => {
    input.type = isShown ? 'text' : 'password';
    button.setAttribute('aria-pressed', isShown);
  };
  show(false);
  button.addEventListener('click', () => show(input.type === 'password'));
  input.form.addEventListener('submit', () => show(false));
  input.after(button);
}
for (const list of document.querySelectorAll('[data-copy]')) {
  const add = (text, act) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'show';
    button.textContent = text;
    button.addEventListener('click', () => act(button));
    list.after(button, ' ');
  };
  add(list.dataset.print, () => print());
  add(list.dataset.copy, async (button) => {
    await navigator.clipboard.writeText([...list.children].map((each) => each.textContent).join('\\n'));
    button.textContent = list.dataset.copied;
  });
}
`;
