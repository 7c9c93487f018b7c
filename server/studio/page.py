"""The studio's page: gradio's components, wired to the functions of app/studio.js.

The events have no Python function: the browser itself calls the API. A component whose id is `form-parameter` shows the
API's errors for this parameter.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import gradio as gr
import yaml

from server.encoding import FORMATS

Field = gr.Textbox | gr.Dropdown | gr.Slider | gr.Radio | gr.Checkbox

WORDS = Path(__file__).parent / "words.yaml"

EXAMPLES = (
    "Hello! This is Fast-Spark.",
    "The bill is $1,234.50, due on May 6th, 2026 at 9:30 am. Please call 555-0199.",
    "The rain had stopped. A boy stood at the window, and counted the drops that fell from the roof. "
    "One, two, three. Then the sun came out.",
    "你好，欢迎使用语音合成服务。",
    "今天是2026年5月6日，气温23.5℃，湿度60%。请在9:30之前拨打010-12345678。",
)


@cache
def words() -> gr.I18n:
    """The translations of words.yaml. gradio selects the language by the browser's."""
    table: dict[str, list[str]] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    return gr.I18n(
        en={key: english for key, (english, _) in table.items()},
        zh={key: chinese for key, (_, chinese) in table.items()},
    )


def theme() -> gr.themes.Base:
    """Return gradio's theme with fonts that every system has, and with the contrast that WCAG 2 asks for."""
    orange = "*primary_700"
    return gr.themes.Soft(
        primary_hue="orange", font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")
    ).set(
        color_accent=orange,
        block_label_text_color=orange,
        block_title_text_color=orange,
        block_title_background_fill_dark=orange,
        button_primary_background_fill=orange,
        button_primary_background_fill_dark=orange,
        button_primary_background_fill_hover="*primary_800",
        checkbox_label_background_fill_selected=orange,
        checkbox_label_background_fill_selected_dark=orange,
        link_text_color=orange,
        link_text_color_dark="*primary_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


def call(function: str, fields: Mapping[str, Field]) -> str:
    """Return the JavaScript that calls a function of the studio with an object of the fields' values."""
    names = json.dumps(list(fields))
    return f"(...values) => studio.{function}(Object.fromEntries({names}.map((name, n) => [name, values[n]])))"


def element(tag: str, **attributes: str) -> gr.HTML:
    """An element of app/studio.js."""
    given = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
    return gr.HTML(f"<{tag}{given}></{tag}>", js_on_load=None, apply_default_css=False)


def problems(form: str) -> gr.HTML:
    """The place of a form's errors that belong to none of its fields."""
    return element("div", id=f"{form}-form", **{"class": "problems"})


def build() -> gr.Blocks:
    """Return the page."""
    t = words()
    page = gr.Blocks(title="Fast-Spark Studio", analytics_enabled=False)
    with page:
        element("fs-header")
        with gr.Group(visible=False, elem_id="key-group") as key_group:
            key = gr.Textbox(label=t("key"), info=t("key_info"), type="password", elem_id="key-key")
            use_key = gr.Button(t("use_key"), elem_id="use-key")
        with gr.Tabs():
            with gr.Tab(t("speak_tab"), id="speak"):
                voice = _speak_tab()
            with gr.Tab(t("voices_tab"), id="voices"):
                gender, language = _voices_tab()
            with gr.Tab(t("dialogue_tab"), id="dialogue"):
                _dialogue_tab()
            with gr.Tab(t("server_tab"), id="server"):
                _server_tab()
        refresh = gr.Button("refresh", visible="hidden", elem_id="refresh")
        shown = [key_group, voice, gender, language]
        page.load(None, None, shown, js="() => studio.start()")
        refresh.click(None, None, [key_group, voice], js="() => studio.refresh()")
        gr.on([use_key.click, key.submit], None, [key], [key_group, voice], js="(key) => studio.useKey(key)")
    return page


def _speak_tab() -> gr.Dropdown:
    """Fill the tab; return the picker of a voice."""
    t = words()
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                label=t("text"), placeholder=t("text_placeholder"), lines=6, max_lines=16, elem_id="speak-input"
            )
            element("fs-counter", **{"for": "speak-input", "most": "4096"})
            with gr.Accordion(t("examples"), open=False):
                for example in EXAMPLES:
                    button = gr.Button(example, size="sm", elem_classes="example")
                    button.click(None, None, [text], js=f"() => studio.example({json.dumps(example)})")
        with gr.Column(scale=2, min_width=300):
            voice = gr.Dropdown([], label=t("voice"), info=t("voice_info"), elem_id="speak-voice")
            speed = gr.Slider(0.25, 4, 1, step=0.05, label=t("speed"), elem_id="speak-speed", buttons=["reset"])
            seed = gr.Textbox(label=t("seed"), info=t("seed_info"), elem_id="speak-seed")
            with gr.Accordion(t("sampling"), open=False, elem_classes="fold"):
                sampling: dict[str, Field] = {
                    "temperature": gr.Slider(0, 2, 0.8, label=t("temperature"), elem_id="speak-temperature"),
                    "top_k": gr.Slider(0, 200, 50, step=1, label=t("top_k"), elem_id="speak-top_k"),
                    "top_p": gr.Slider(0.01, 1, 0.95, label=t("top_p"), elem_id="speak-top_p"),
                    "repetition_penalty": gr.Slider(
                        0.5, 2, 1, label=t("repetition_penalty"), elem_id="speak-repetition_penalty"
                    ),
                    "max_tokens": gr.Textbox(
                        label=t("max_tokens"), info=t("max_tokens_info"), elem_id="speak-max_tokens"
                    ),
                }
    with gr.Row():
        speak = gr.Button(t("speak"), variant="primary", elem_id="speak")
        stop = gr.Button(t("stop"), variant="stop", elem_id="stop")
    problems("speak")
    element("fs-player", id="speak-player")
    with gr.Row(equal_height=True):
        audio_format = gr.Dropdown(
            list(FORMATS), value="mp3", label=t("format"), info=t("download_info"), elem_id="speak-response_format"
        )
        download = gr.Button(t("download"), elem_id="download")
    fields: dict[str, Field] = {"input": text, "voice": voice, "speed": speed, "seed": seed, **sampling}
    fields["response_format"] = audio_format
    with gr.Accordion(t("as_code"), open=False):
        curl = gr.Textbox(label="curl", lines=5, interactive=False, buttons=["copy"], elem_id="curl")
        python = gr.Textbox(label="Python", lines=8, interactive=False, buttons=["copy"], elem_id="python")
    given, code = list(fields.values()), [curl, python]
    gr.on([speak.click, text.submit], None, given, code, js=call("speak", fields))
    stop.click(None, js="() => studio.stop()")
    download.click(None, given, code, js=call("download", fields))
    gr.on([field.change for field in given], None, given, code, js=call("code", fields))
    return voice


def _voices_tab() -> tuple[gr.Radio, gr.Dropdown]:
    """Fill the tab; return the choices of a gender and of a consent's language."""
    t = words()
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            gr.Markdown(t("your_voices"), elem_classes="heading")
            element("fs-voices", id="voices")
        with gr.Column(scale=2, min_width=300):
            gr.Textbox(label=t("sentence"), placeholder=t("sentence_value"), elem_id="hear-input")
            problems("hear")
            element("fs-player", id="hear-player")
    gr.Markdown(t("make_another"), elem_classes="heading")
    with gr.Tabs():
        with gr.Tab(t("clone_tab"), id="clone"):
            language = _clone_tab()
        with gr.Tab(t("create_tab"), id="create"):
            gender = _create_tab()
        with gr.Tab(t("import_tab"), id="import"):
            element("fs-file", id="import-file", label="voice_file", info="voice_file_info", accept=".voice")
            fields = {"name": gr.Textbox(label=t("new_name"), info=t("optional"), elem_id="import-name")}
            button = gr.Button(t("import"), variant="primary", elem_id="import")
            problems("import")
            button.click(None, list(fields.values()), js=call("importVoice", fields))
    return gender, language


def _clone_tab() -> gr.Dropdown:
    """Fill the tab; return the choice of the consent's language."""
    t = words()
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            element("fs-recorder", id="clone-audio_sample", label="sample", info="sample_info")
        with gr.Column(scale=2, min_width=300):
            name = gr.Textbox(label=t("name"), elem_id="clone-name")
            transcript = gr.Textbox(
                label=t("transcript"), info=t("transcript_info"), lines=2, elem_id="clone-transcript"
            )
            private = gr.Checkbox(False, label=t("private"), elem_id="clone-scope")
    with gr.Accordion(t("consent"), open=False, elem_id="clone-consent", elem_classes="fold"):
        language = gr.Dropdown([], label=t("consent_language"), elem_id="consent-language")
        element("fs-phrase", id="phrase")
        language.change(None, [language], js="(language) => studio.showPhrase(language)")
        element("fs-recorder", id="consent-recording", label="consent", info="consent_info")
    fields: dict[str, Field] = {"name": name, "transcript": transcript, "private": private, "language": language}
    make = gr.Button(t("make"), variant="primary", elem_id="clone")
    make.click(None, list(fields.values()), js=call("clone", fields))
    problems("clone")
    element("fs-warnings", id="clone-warnings")
    return language


def _create_tab() -> gr.Radio:
    """Fill the tab; return the choice of a gender."""
    t = words()
    gender = gr.Radio([], label=t("gender"), elem_id="create-gender")
    with gr.Row():
        pitch = gr.Slider(1, 5, 3, step=1, label=t("pitch"), info=t("level_info"), elem_id="create-pitch")
        rate = gr.Slider(1, 5, 3, step=1, label=t("rate"), info=t("level_info"), elem_id="create-speed")
    fields: dict[str, Field] = {"gender": gender, "pitch": pitch, "speed": rate}
    draw = gr.Button(t("draw"), variant="primary", elem_id="draw")
    draw.click(None, list(fields.values()), js=call("draw", fields))
    element("fs-draft", id="draft")
    name = gr.Textbox(label=t("name"), info=t("draw_info"), elem_id="create-name")
    keep = gr.Button(t("keep"), elem_id="keep")
    problems("create")
    gr.on([keep.click, name.submit], None, [name], [name], js="(name) => studio.keep(name)")
    return gender


def _dialogue_tab() -> None:
    """Fill the tab."""
    t = words()
    element("fs-dialogue", id="dialogue-input")
    with gr.Row():
        speak = gr.Button(t("speak"), variant="primary", elem_id="dialogue-speak")
        stop = gr.Button(t("stop"), variant="stop")
    problems("dialogue")
    element("fs-player", id="dialogue-player")
    speak.click(None, js="() => studio.speakDialogue()")
    stop.click(None, js="() => studio.stopDialogue()")


def _server_tab() -> None:
    """Fill the tab."""
    t = words()
    element("fs-facts", id="facts")
    gr.Markdown(t("last_minutes"), elem_classes="heading")
    _plots("now", "running", "tokens_per_second", "first_audio_plot", "real_time_factor_plot", "memory_plot")
    gr.Markdown(t("benchmark"), elem_classes="heading")
    element("fs-file", id="benchmark-file", label="benchmark", info="benchmark_info", accept=".json")
    _plots("benchmark", "first_audio_plot", "real_time_factor_plot", "throughput")


def _plots(group: str, *titles: str) -> None:
    with gr.Row(elem_classes="plots"):
        for title in titles:
            element("fs-plot", id=f"{group}-{title}", label=title)
