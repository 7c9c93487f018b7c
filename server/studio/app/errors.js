// Errors at the place where they belong: beside the field at fault, or else beside the button.

import { ApiError } from "./api.js";

const MARK = "fs-error";

/** Show an error at the first of the elements with these ids that exists, and move the focus there. */
function showError(error, ...ids) {
  const place = ids.map((id) => document.getElementById(id)).find(Boolean);
  place.parentElement.closest(".fold")?.querySelector(".label-wrap:not(.open)")?.click();
  const message = document.createElement("p");
  message.className = MARK;
  message.id = `${place.id}-error`;
  message.role = "alert";
  message.textContent = error.message;
  place.append(message);
  const field = place.querySelector("input, textarea, button");
  if (field && !place.matches("button")) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", message.id);
    field.focus();
  }
  message.scrollIntoView({ block: "nearest" });
}

/** Remove the errors of a form. */
function clearErrors(form) {
  for (const message of document.querySelectorAll(`.${MARK}[id^="${form}-"]`)) {
    for (const field of document.querySelectorAll(`[aria-describedby="${message.id}"]`)) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
    message.remove();
  }
}

/** Do the work of a form; its errors appear at the fields `form-param`, or at the element `form-form`. */
export async function inForm(form, work) {
  clearErrors(form);
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (!(error instanceof ApiError)) console.error(error);
    showError(error, `${form}-${error.param}`, `${form}-form`);
    return undefined;
  }
}
