// What a speaker reads aloud to agree that their voice is used, by BCP 47 tag: the language's name, and the sentence.

export const PHRASES = {
  "en-US": ["English", "This is my voice, and I agree that this server makes a synthetic voice from it."],
  "zh-CN": ["中文", "这是我的声音，我同意此服务器用它制作合成语音。"],
  "de-DE": ["Deutsch", "Das ist meine Stimme, und ich stimme zu, dass dieser Server daraus eine künstliche Stimme macht."],
  "es-ES": ["Español", "Esta es mi voz y acepto que este servidor cree con ella una voz sintética."],
  "fr-FR": ["Français", "C'est ma voix, et j'accepte que ce serveur en fasse une voix de synthèse."],
  "hi-IN": ["हिन्दी", "यह मेरी आवाज़ है, और मैं सहमत हूँ कि यह सर्वर इससे एक कृत्रिम आवाज़ बनाए।"],
  "id-ID": ["Bahasa Indonesia", "Ini suara saya, dan saya setuju server ini membuat suara sintetis darinya."],
  "it-IT": ["Italiano", "Questa è la mia voce e acconsento che questo server ne crei una voce sintetica."],
  "ja-JP": ["日本語", "これは私の声です。このサーバーがこの声から合成音声を作ることに同意します。"],
  "ko-KR": ["한국어", "이것은 제 목소리이며, 이 서버가 이 목소리로 합성 음성을 만드는 것에 동의합니다."],
  "nl-NL": ["Nederlands", "Dit is mijn stem, en ik ga ermee akkoord dat deze server er een synthetische stem van maakt."],
  "pl-PL": ["Polski", "To jest mój głos i zgadzam się, aby ten serwer stworzył z niego głos syntetyczny."],
  "pt-BR": ["Português", "Esta é a minha voz, e concordo que este servidor crie com ela uma voz sintética."],
  "ru-RU": ["Русский", "Это мой голос, и я согласен, чтобы этот сервер создал из него синтезированный голос."],
  "uk-UA": ["Українська", "Це мій голос, і я погоджуюся, щоб цей сервер створив із нього синтезований голос."],
  "vi-VN": ["Tiếng Việt", "Đây là giọng nói của tôi, và tôi đồng ý để máy chủ này tạo giọng nói tổng hợp từ đó."],
};
