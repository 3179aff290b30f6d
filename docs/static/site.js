// What the generator leaves out for people who do not use a mouse or a screen.
document.addEventListener("DOMContentLoaded", () => {
  // Code that is wider than the page can be scrolled with the keyboard.
  document.querySelectorAll("pre, .table-wrapper").forEach((box) => (box.tabIndex = 0));
  // Headings of the contents say their level.
  document.querySelectorAll('[role="heading"]:not([aria-level])').forEach((head) => head.setAttribute("aria-level", "2"));
});
